"""``granet-train``: trains a network and writes ``best.pt``; the defaults are the paper's recipe."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, UsageError, run_app
from granet.app.extras import require
from granet.training.recipe_file import packaged_recipes, use_recipe

app = typer.Typer(
    help="Train GraNet.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


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


SPECS = (
    "rain100l:DIR, rain100h:DIR, ddn:DIR, did:DIR, rain800:DIR, pairs:RAINY,CLEAN, synthetic:CLEAN_DIR "
    "or drawn:COUNT"
)
PACKAGES = ("torch", "safetensors", "matplotlib")
"""Packages that training needs beyond the base install."""


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 16:
        raise UsageError(f"--crop {text}: expected sizes of at least 16 pixels, as in 128 or 96,128,192")
    return sizes


@app.command()
def train(
    train: Annotated[
        list[str],
        typer.Option(
            "--train",
            metavar="SPEC",
            help=f"Train on this data: {SPECS}. Repeat to mix data sets; SPEC@0.3 sets a share.",
        ),
    ],
    val: Annotated[
        list[str],
        typer.Option("--val", metavar="SPEC", help="Validate on this data. Repeat for more data sets."),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME|FILE",
            is_eager=True,
            callback=use_recipe,
            help="Read options from a TOML file or a packaged recipe "
            f"({', '.join(packaged_recipes())}); options on the command line win.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Replace {data} in the specs with this directory.")
    ] = None,
    preset: Annotated[
        PresetChoice | None, typer.Option(help="Network to train (default: that of --init, else paper).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the network. Repeat for more."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this directory (default: runs/PRESET).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the training in --out.")] = False,
    go_on_from: Annotated[
        Path | None,
        typer.Option(
            "--continue",
            metavar="CKPT",
            help="Continue a training of this recipe from its checkpoint, without its state file.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the training in --out.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Stop after N epochs (default: on convergence).")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after N minutes, including earlier parts.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init", metavar="CKPT", help="Start from the weights of a checkpoint (default: random weights)."
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="CKPT", help="Also learn from the results of this network (distillation)."),
    ] = None,
    device: Annotated[
        DeviceChoice, typer.Option(help="Device to train on; auto uses a GPU if there is one.")
    ] = DeviceChoice.auto,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for weights, sampling, crops and rain.")] = 0,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Train on random squares of N pixels (default: whole pictures). Several sizes divide the "
            "epochs in their order.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Crops per step and process.")] = 1,
    long_side: Annotated[
        int | None,
        typer.Option(min=16, help="Shrink whole pictures to this longest side in pixels (default: 512)."),
    ] = None,
    epoch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples per epoch (default: the number of pictures).")
    ] = None,
    dry: Annotated[float, typer.Option(min=0, max=1, help="Share of samples without rain.")] = 0.0,
    heaviness: Annotated[
        str | None,
        typer.Option(
            metavar="LOW-HIGH",
            help="Heaviness of synthetic rain, from 0 (drizzle) to 1 (default: light to heavy).",
        ),
    ] = None,
    loss: Annotated[
        LossChoice, typer.Option(help="Loss: mean absolute error, 1 - SSIM, or both.")
    ] = LossChoice.l1,
    lr: Annotated[float, typer.Option(min=1e-9, help="Initial learning rate of Adam.")] = 5e-4,
    patience: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Lower the learning rate after this many epochs without improvement "
            "(default: 3; Rain100L: 10).",
        ),
    ] = None,
    cosine: Annotated[
        bool, typer.Option("--cosine", help="Use a cosine schedule instead of the plateau schedule.")
    ] = False,
    stable: Annotated[
        float | None,
        typer.Option(min=0, max=0.99, help="Begin the cosine after this share of the training (default: 0)."),
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.999999,
            help="Keep an exponential moving average of the weights with this decay (default: none).",
        ),
    ] = None,
    clip_gradient: Annotated[
        float | None, typer.Option(min=1e-9, help="Clip the gradient to this norm (default: no clipping).")
    ] = None,
    precision: Annotated[
        PrecisionChoice, typer.Option(help="Number format; auto measures which is faster.")
    ] = PrecisionChoice.auto,
    channels_last: Annotated[
        bool | None,
        typer.Option("--channels-last/--contiguous", help="Memory layout (default: whichever is faster)."),
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Train with N processes, one thread each (default: 1).")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads per process (default: all, with --processes 1).")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Threads that prepare batches (default: chosen by the idle cores)."),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Train GraNet with the paper's recipe (section 4.3), unless options change it.

    Ctrl-C stops after the current step; --resume then resumes the training. For several GPUs, run
    torchrun --nproc-per-node N --no-python granet-train with the same options.
    """
    require("training", *PACKAGES)
    if processes is not None and _is_launcher(processes):
        raise typer.Exit(_run_all(processes, threads))
    from granet.training.options import TrainOptions
    from granet.training.processes import FailedElsewhere
    from granet.training.run import run_training

    options = TrainOptions(
        train=tuple(train),
        val=tuple(val),
        data=data,
        preset=None if preset is None else preset.value,
        settings=tuple(settings or ()),
        directory=out,
        resume=resume,
        overwrite=overwrite,
        go_on_from=go_on_from,
        epochs=epochs,
        minutes=minutes,
        init=init,
        teacher=teacher,
        device=device.value,
        seed=seed,
        crop=_sizes(crop),
        batch=batch,
        long_side=long_side,
        epoch_size=epoch_size,
        dry=dry,
        heaviness=heaviness,
        loss=loss.value,
        lr=lr,
        patience=patience,
        cosine=cosine,
        stable=stable,
        ema=ema,
        clip_gradient=clip_gradient,
        precision=precision.value,
        channels_last=channels_last,
        compiled=compiled,
        threads=threads or (1 if processes is not None and processes > 1 else None),
        workers=workers,
    )
    try:
        run_training(options)
    except FailedElsewhere:
        raise typer.Exit(1) from None


def _is_launcher(processes: int) -> bool:
    """Whether this process must start the others, which neither it nor torchrun has started yet."""
    started = os.environ.get("WORLD_SIZE")
    if started is not None and int(started) != processes:
        raise UsageError(
            f"--processes {processes} starts processes, but torchrun has already started {started}: use one"
        )
    return started is None and processes > 1


def _run_all(processes: int, threads: int | None) -> int:
    from granet.training.launch import run_processes

    command = [sys.executable, "-m", "granet.training.cli", *sys.argv[1:]]
    return run_processes(processes, command, own_threads=threads is not None)


def main() -> None:
    """The entry point of ``granet-train``."""
    raise SystemExit(run_app(app))


if __name__ == "__main__":  # how --processes starts this command
    main()
