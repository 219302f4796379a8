"""``granet-train``: data sets to ``best.pt``, by the paper's recipe unless options say otherwise."""

import os
import sys
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, UsageError, run_app
from granet.errors import UserError
from granet.training.recipe_file import packaged_recipes, read_recipe

app = typer.Typer(
    help="Train GraNet.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


class PresetChoice(str, Enum):
    """How wide the network is."""

    paper = "paper"
    base = "base"
    lite = "lite"


class DeviceChoice(str, Enum):
    """Where it is trained."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PrecisionChoice(str, Enum):
    """Number format of convolutions and matrix products."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class LossChoice(str, Enum):
    """What is minimised (:func:`granet.training.losses.restoration_loss`)."""

    l1 = "l1"
    ssim = "ssim"
    both = "l1+ssim"


SPECS = (
    "rain100l:DIR, rain100h:DIR, ddn:DIR, did:DIR, rain800:DIR, pairs:RAINY,CLEAN, synthetic:CLEAN_DIR "
    "or drawn:COUNT"
)
_NEEDED = ("torch", "safetensors", "matplotlib")


def _options_of(context: typer.Context, name: str | None) -> str | None:
    """Makes the options of a recipe the defaults of the command line."""
    if name is not None and not context.resilient_parsing:
        known = {option.lstrip("-"): p.name for p in context.command.params for option in p.opts}
        values = read_recipe(name, known.keys() - {"recipe", "help", "debug"})
        context.default_map = {str(known[option]): value for option, value in values.items()}
    return name


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
            "--train", metavar="SPEC", help=f"Learn from {SPECS}. Repeat to mix, with SPEC@0.3 for a share."
        ),
    ],
    val: Annotated[
        list[str], typer.Option("--val", metavar="SPEC", help="Measure on this data. Repeat for more.")
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME|FILE",
            is_eager=True,
            callback=_options_of,
            help=f"Take options from a TOML file or a packaged recipe: {', '.join(packaged_recipes())}.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Put this directory in place of {data} in the specs.")
    ] = None,
    preset: Annotated[
        PresetChoice | None, typer.Option(help="Network to train (default: paper, or that of --init).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a value of the network's configuration."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write into this directory (default: runs/PRESET).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    go_on_from: Annotated[
        Path | None,
        typer.Option("--continue", metavar="CKPT", help="Go on from the weights of this recipe alone."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the training in --out.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Stop after N epochs (default: on convergence).")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after N minutes, resumed parts included.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", help="Start from the weights of a checkpoint.")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="CKPT", help="Learn from this network's results too (distillation)."),
    ] = None,
    device: Annotated[
        DeviceChoice, typer.Option(help="Train here; auto takes a GPU if there is one.")
    ] = DeviceChoice.auto,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for weights, sampling, crops and rain.")] = 0,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Cut random squares of N pixels (default: whole pictures). Several sizes share the epochs.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Crops per step and process.")] = 1,
    long_side: Annotated[
        int | None, typer.Option(min=16, help="Shrink whole pictures to this side (default: 512).")
    ] = None,
    epoch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples per epoch (default: every picture once).")
    ] = None,
    dry: Annotated[float, typer.Option(min=0, max=1, help="Share of samples without rain.")] = 0.0,
    heaviness: Annotated[
        str | None,
        typer.Option(
            metavar="LOW-HIGH", help="Heaviness of synthetic rain, 0 to 1 (default: light to heavy)."
        ),
    ] = None,
    loss: Annotated[
        LossChoice, typer.Option(help="Loss: mean absolute error, 1 - SSIM, or both.")
    ] = LossChoice.l1,
    lr: Annotated[float, typer.Option(min=1e-9, help="Learning rate of Adam.")] = 5e-4,
    patience: Annotated[
        int | None,
        typer.Option(min=0, help="Epochs without progress before the rate falls (default: 3; Rain100L: 10)."),
    ] = None,
    cosine: Annotated[
        bool, typer.Option("--cosine", help="Lower the rate along a cosine instead of on a plateau.")
    ] = False,
    stable: Annotated[
        float | None,
        typer.Option(min=0, max=0.99, help="Share of the training before the cosine begins (default: 0)."),
    ] = None,
    ema: Annotated[
        float | None, typer.Option(min=0, max=0.999999, help="Average the weights with this decay.")
    ] = None,
    clip_gradient: Annotated[
        float | None, typer.Option(min=1e-9, help="Clip the norm of the gradient to this.")
    ] = None,
    precision: Annotated[
        PrecisionChoice, typer.Option(help="Number format; auto measures which is faster here.")
    ] = PrecisionChoice.auto,
    channels_last: Annotated[
        bool | None,
        typer.Option("--channels-last/--contiguous", help="Memory layout (default: the faster one)."),
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Start N processes, one CPU core each (default: 1).")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all).")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Threads that prepare batches (default: what helps).")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Train GraNet by the paper's recipe (section 4.3) or by the options below.

    Ctrl-C ends after the step and the training can be resumed. Several GPUs: torchrun --nproc-per-node N
    --no-python granet-train and the same options.
    """
    _require_train_extra()
    if processes is not None and processes > 1:
        _start_processes(processes, threads)
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
        threads=threads,
        workers=workers,
    )
    try:
        run_training(options)
    except FailedElsewhere:
        raise typer.Exit(1) from None


def _start_processes(count: int, threads: int | None) -> None:
    """Becomes torchrun, which starts this command ``count`` times; one thread each unless told otherwise."""
    arguments = list(sys.argv[1:])
    for index, argument in enumerate(arguments):
        if argument == "--processes":
            del arguments[index : index + 2]
            break
        if argument.startswith("--processes="):
            del arguments[index]
            break
    if threads is None:
        arguments += ["--threads", "1"]
        os.environ["OMP_NUM_THREADS"] = "1"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    os.execv(sys.executable, [sys.executable, *launcher, "-m", "granet.training.cli", *arguments])


def _require_train_extra() -> None:
    """Raises one line where only the base install is."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f'{", ".join(missing)} not installed, and training needs it: pip install "granet-deploy[train]"'
        )


def main() -> None:
    """The entry point of ``granet-train``."""
    raise SystemExit(run_app(app))


if __name__ == "__main__":  # python -m granet.training.cli, which torchrun can start as well
    main()
