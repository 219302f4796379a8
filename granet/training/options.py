"""The options of ``granet-train``."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from granet.app.command import Options
from granet.app.console import UsageError
from granet.app.value import checked
from granet.data.specs import DATA, parse_heaviness, parse_spec
from granet.training.recipe import Limits
from granet.training.specs import check_with_share
from granet.weights.file_names import base_name
from granet.weights.packaged import named_checkpoint

SPECS = (
    "rain100l:DIR, rain100h:DIR, ddn:DIR, did:DIR, rain800:DIR, pairs:RAINY,CLEAN, synthetic:CLEAN_DIR "
    "or drawn:COUNT"
)

_SMALLEST_CROP = 16


class PresetChoice(StrEnum):
    """Presets of :class:`granet.config.GraNetConfig`."""

    paper = "paper"
    base = "base"
    lite = "lite"


class DeviceChoice(StrEnum):
    """Training devices."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PrecisionChoice(StrEnum):
    """Number format of convolutions and matrix products."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class LossChoice(StrEnum):
    """Losses (:func:`granet.training.losses.restoration_loss`)."""

    l1 = "l1"
    ssim = "ssim"
    both = "l1+ssim"
    psnr = "psnr"


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Options of ``granet-train``; ``None`` or empty for one that was not given.

    Attributes:
        settings: ``--set``.
        directory: ``--out``.
        go_on_from: ``--continue``.
        crop_sizes: ``--crop``.
        compiled: ``--compile``.
    """

    train: Annotated[
        list[str],
        typer.Option(
            "--train",
            metavar="SPEC",
            callback=checked(check_with_share),
            help=f"Train on this data: {SPECS}. Repeat to mix data sets; SPEC@0.3 sets a share.",
        ),
    ]
    val: Annotated[
        list[str],
        typer.Option(
            "--val",
            metavar="SPEC",
            callback=checked(parse_spec),
            help="Validate on this data. Repeat for more data sets.",
        ),
    ]
    data: Annotated[Path | None, typer.Option(help=f"Replace {DATA} in the specs with this directory.")] = (
        None
    )
    preset: Annotated[
        PresetChoice | None, typer.Option(help="Network to train (default: that of --init, else paper).")
    ] = None
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the network. Repeat for more."),
    ] = field(default_factory=list)
    directory: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write to this directory (default: runs/PRESET).")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Resume the training in --out.")] = False
    go_on_from: Annotated[
        Path | None,
        typer.Option(
            "--continue",
            metavar="CKPT",
            parser=named_checkpoint,
            help="Continue a training of this recipe from its checkpoint, without its state file.",
        ),
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the training in --out.")] = False
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Stop after N epochs (default: on convergence).")
    ] = None
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after N minutes, including earlier parts.")
    ] = None
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="CKPT",
            parser=named_checkpoint,
            help="Start from the weights of a checkpoint: a file, or lite or base (default: random weights).",
        ),
    ] = None
    renew_coarse: Annotated[
        bool,
        typer.Option(
            "--renew-coarse", help="Start from the fine stage of --init alone (to revive the other)."
        ),
    ] = False
    revive: Annotated[
        bool,
        typer.Option(
            "--revive", help="Give new weights to the channels of --init that are 0 on 512 samples."
        ),
    ] = False
    coarse_loss: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Add this share of the loss of the coarse result, so that the coarse stage stays active.",
        ),
    ] = 0.0
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="CKPT",
            parser=named_checkpoint,
            help="Also learn from the results of this network (distillation).",
        ),
    ] = None
    device: Annotated[
        DeviceChoice, typer.Option(help="Device to train on; auto uses a GPU if there is one.")
    ] = DeviceChoice.auto
    seed: Annotated[int, typer.Option(min=0, help="Random seed for weights, sampling, crops and rain.")] = 0
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Train on random squares of N pixels (default: whole pictures). Several sizes divide the "
            "epochs in their order.",
        ),
    ] = None
    batch: Annotated[int, typer.Option(min=1, help="Crops per step and process.")] = 1
    long_side: Annotated[
        int | None,
        typer.Option(min=16, help="Shrink whole pictures to this longest side in pixels (default: 512)."),
    ] = None
    epoch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples per epoch (default: the number of pictures).")
    ] = None
    dry: Annotated[float, typer.Option(min=0, max=1, help="Share of samples without rain.")] = 0.0
    heaviness: Annotated[
        str | None,
        typer.Option(
            metavar="LOW-HIGH",
            callback=checked(parse_heaviness),
            help="Heaviness of synthetic rain, from 0 (drizzle) to 1 (default: light to heavy).",
        ),
    ] = None
    loss: Annotated[
        LossChoice, typer.Option(help="Loss: mean absolute error, 1 - SSIM, both, or negative PSNR.")
    ] = LossChoice.l1
    lr: Annotated[float, typer.Option(min=1e-9, help="Initial learning rate of Adam.")] = 5e-4
    patience: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Lower the learning rate after this many epochs without improvement "
            "(default: 3; Rain100L: 10).",
        ),
    ] = None
    cosine: Annotated[
        bool, typer.Option("--cosine", help="Use a cosine schedule instead of the plateau schedule.")
    ] = False
    stable: Annotated[
        float | None,
        typer.Option(min=0, max=0.99, help="Begin the cosine after this share of the training (default: 0)."),
    ] = None
    ema: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.999999,
            help="Keep an exponential moving average of the weights with this decay (default: none).",
        ),
    ] = None
    clip_gradient: Annotated[
        float | None, typer.Option(min=1e-9, help="Clip the gradient to this norm (default: no clipping).")
    ] = None
    precision: Annotated[
        PrecisionChoice, typer.Option(help="Number format; auto measures which is faster.")
    ] = PrecisionChoice.auto
    channels_last: Annotated[
        bool | None,
        typer.Option("--channels-last/--contiguous", help="Memory layout (default: whichever is faster)."),
    ] = None
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False
    processes: Annotated[
        int | None, typer.Option(min=1, help="Train with N processes, one thread each (default: 1).")
    ] = None
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads per process (default: all, with --processes 1).")
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Threads that prepare batches (default: chosen by the idle cores)."),
    ] = None

    @property
    def out(self) -> Path:
        """The output directory."""
        name = self.preset or ("paper" if self.init is None else base_name(self.init))
        return self.directory or Path("runs") / name

    @property
    def limits(self) -> Limits:
        """When the training ends."""
        return Limits(self.epochs, self.minutes)

    @property
    def goes_on(self) -> bool:
        """Whether the training continues an earlier one, whose weights replace those of ``--init``."""
        return self.resume or self.go_on_from is not None

    @property
    def threads_per_process(self) -> int | None:
        """CPU threads of each process; ``None`` for PyTorch's default."""
        return self.threads or (1 if self.processes is not None and self.processes > 1 else None)

    @cached_property
    def crop_sizes(self) -> tuple[int, ...] | None:
        """Sides of the random squares in pixels; ``None`` for whole pictures.

        Raises:
            UsageError: if ``--crop`` is not a list of sizes.
        """
        if self.crop is None:
            return None
        try:
            sizes = tuple(int(part) for part in self.crop.split(","))
        except ValueError:
            sizes = (0,)
        if min(sizes) < _SMALLEST_CROP:
            raise UsageError(
                f"--crop {self.crop}: expected sizes of at least {_SMALLEST_CROP} pixels, as in 128 or "
                "96,128,192"
            )
        return sizes

    def with_data(self, spec: str) -> str:
        """``spec`` with the directory of ``--data`` in place of the placeholder.

        Raises:
            UsageError: if it has the placeholder and ``--data`` is not given.
        """
        if DATA in spec and self.data is None:
            where = spec.partition("?")[0]  # the rest would be hidden like the query of an address
            raise UsageError(f"{where}: give the directory of the data with --data")
        return spec.replace(DATA, str(self.data))
