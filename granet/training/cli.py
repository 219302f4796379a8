"""``granet-train``: data sets to ``best.pt``, by the paper's recipe unless options say otherwise."""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from granet.app.console import DebugOption, Interrupted, UsageError, run_app, say
from granet.app.signals import on_interrupt
from granet.config import GraNetConfig
from granet.data.datasets import Dataset, open_dataset, parse_heaviness
from granet.errors import UserError
from granet.training.recipe import Recipe
from granet.training.samples import Cutting, TrainingData

if TYPE_CHECKING:
    from granet.training.processes import Processes
    from granet.training.trainer import Limits, Trainer

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
    lite = "lite"


class DeviceChoice(str, Enum):
    """Where it is trained."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


SPECS = (
    "rain100l:DIR, rain100h:DIR, ddn:DIR, did:DIR, rain800:DIR, pairs:RAINY,CLEAN, synthetic:CLEAN_DIR "
    "or drawn:COUNT"
)
OURS = ("best.pt", "last.pt", "state.pt", "log.jsonl", "log.png")
"""What a training writes into its directory."""

_NEEDED = ("torch", "safetensors", "matplotlib")
PATIENCE, PATIENCE_RAIN100L = 3, 10  # section 4.3


@app.command()
def train(
    train: Annotated[
        list[str],
        typer.Option("--train", metavar="SPEC", help=f"{SPECS}; repeat to mix, SPEC@0.3 for a share."),
    ],
    val: Annotated[
        list[str], typer.Option("--val", metavar="SPEC", help="What it is measured on; may be repeated.")
    ],
    preset: Annotated[PresetChoice | None, typer.Option(help="paper by default, or that of --init.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another value of the network's configuration."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the result; runs/PRESET by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the training in --out.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Until then; by default until it converges.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Until then, resumed parts included.")
    ] = None,
    init: Annotated[Path | None, typer.Option("--init", help="Checkpoint to start from.")] = None,
    device: Annotated[DeviceChoice, typer.Option(help="auto: a GPU if there is one.")] = DeviceChoice.auto,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order, cuts and rain.")] = 0,
    crop: Annotated[int | None, typer.Option(min=16, help="Random squares of so many pixels.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Crops of one step of one process.")] = 1,
    long_side: Annotated[int, typer.Option(min=16, help="Whole pictures are shrunk to it.")] = 512,
    epoch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples; every picture once by default.")
    ] = None,
    dry: Annotated[float, typer.Option(min=0, max=1, help="Share of samples without rain.")] = 0.0,
    heaviness: Annotated[
        str | None, typer.Option(metavar="LOW-HIGH", help="Of synthetic rain, 0 to 1.")
    ] = None,
    lr: Annotated[float, typer.Option(min=1e-9, help="Learning rate of Adam.")] = 5e-4,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Epochs until the rate sinks; 10 for Rain100L, else 3.")
    ] = None,
    cosine: Annotated[bool, typer.Option("--cosine", help="Cosine instead of plateau schedule.")] = False,
    ema: Annotated[
        float | None, typer.Option(min=0, max=0.999999, help="Moving average of the weights, as 0.999.")
    ] = None,
    clip_gradient: Annotated[
        float | None, typer.Option(min=1e-9, help="Largest norm of the gradient.")
    ] = None,
    amp: Annotated[bool, typer.Option("--amp", help="bfloat16 where it is safe.")] = False,
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Memory layout; faster.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="torch.compile.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the CPU; all by default.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Threads that prepare data; as many as help by default.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Train GraNet by the paper's recipe (section 4.3) or by the options below.

    Ctrl-C ends after the step and the training can be resumed. Several GPUs: torchrun --nproc-per-node N
    --no-python granet-train and the same options.
    """
    _require_train_extra()
    from granet.training.processes import FailedElsewhere
    from granet.training.trainer import Limits

    if epochs is not None and minutes is not None:
        raise UsageError("--epochs and --minutes both say when to end: give one of them")
    if cosine and epochs is None and minutes is None:
        raise UsageError("--cosine runs to an end: give --epochs or --minutes")
    if batch > 1 and crop is None:
        raise UsageError("--batch needs --crop: whole pictures differ in size")
    if resume and overwrite:
        raise UsageError("--resume goes on with what --overwrite would replace: give one of them")
    specs, weights = _shares(train)
    config, name = _network(preset, settings or [], init)
    recipe = Recipe(
        config=asdict(config),
        train=tuple(_with_heaviness(spec, heaviness) for spec in specs),
        val=tuple(_with_heaviness(spec, heaviness) for spec in val),
        weights=weights,
        init=None if init is None else str(init),
        seed=seed,
        epoch_size=epoch_size,
        batch=batch,
        crop=crop,
        long_side=long_side,
        dry=dry,
        lr=lr,
        min_lr=min(lr, Recipe.min_lr),
        patience=patience if patience is not None else _patience(specs),
        cosine=cosine,
        ema=ema or None,
        clip_gradient=clip_gradient,
        amp=amp,
        channels_last=channels_last,
    )
    where = out or Path("runs") / name
    try:
        _run(
            recipe,
            Limits(epochs, minutes),
            where,
            device.value,
            resume,
            overwrite,
            threads,
            workers,
            compiled,
        )
    except FailedElsewhere:
        raise typer.Exit(1) from None


def _run(
    recipe: Recipe,
    limits: "Limits",
    out: Path,
    device: str,
    resume: bool,
    overwrite: bool,
    threads: int | None,
    workers: int | None,
    compiled: bool,
) -> None:
    """Everything that takes part is made, then trained."""
    import cv2
    import torch

    from granet.training.processes import joined
    from granet.training.trainer import Trainer
    from granet.training.validation import Validation

    data = [open_dataset(spec, "train") for spec in recipe.train]
    validation = [open_dataset(spec, "test") for spec in recipe.val]
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    with joined(device) as processes:
        if not (resume or overwrite):
            processes.on_main(lambda: _refuse_existing(out))
        samples = _training_data(recipe, data)
        tell: Callable[[str], None] = say if processes.is_main else lambda message: None
        trainer = Trainer(
            recipe, samples, Validation(validation, processes), out, limits, processes, tell,
            workers=_workers(workers, processes), compiled=compiled,
        )  # fmt: skip
        if resume:
            trainer.resume()
        processes.on_main(lambda: _prepare(out, resume))
        tell(_headline(trainer, data, validation, samples.epoch_size, processes))
        _train(trainer, out, tell)


def _train(trainer: "Trainer", out: Path, tell: Callable[[str], None]) -> None:
    wanted = False

    def stop() -> None:
        nonlocal wanted
        wanted = True

    with on_interrupt(stop):
        complete = trainer.run(lambda: wanted)
    progress = trainer.progress
    best = "not validated yet" if progress.best_db is None else f"best {progress.best_db:.2f} dB paper"
    done = f"{progress.steps} steps, {progress.samples} samples, {progress.seconds / 60:.1f} min; {best}"
    if complete:
        tell(f"{out}: complete after {done}")
    else:
        tell(f"{out}: interrupted after {done}; go on with: {_resume_command()}")
        raise Interrupted


def _require_train_extra() -> None:
    """Raises one line where only the base install is."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f'{", ".join(missing)} not installed, and training needs it: pip install "granet-deploy[train]"'
        )


def _shares(specs: list[str]) -> tuple[list[str], tuple[float, ...] | None]:
    """``SPEC@0.3`` ... -> the specs, and their shares unless none has one."""
    parts = [re.fullmatch(r"(.+?)(?:@(\d+(?:\.\d*)?|\.\d+))?", spec) for spec in specs]
    names = [part[1] if part else spec for part, spec in zip(parts, specs, strict=True)]
    shares = [part[2] if part else None for part in parts]
    if all(share is None for share in shares):
        return names, None
    if None in shares:
        raise UsageError(
            f"{specs[shares.index(None)]} has no share: give each --train one, as in SPEC@0.3, or none"
        )
    weights = tuple(float(share) for share in shares if share is not None)
    if min(weights) <= 0:
        raise UsageError("the share of a --train, as in SPEC@0.3, must be above 0")
    return names, weights


def _with_heaviness(spec: str, heaviness: str | None) -> str:
    """``spec`` with ``--heaviness``, if it is of synthetic rain and does not say for itself."""
    if heaviness is None:
        return spec
    parse_heaviness(heaviness)
    if not spec.startswith("synthetic:") or "heaviness=" in spec:
        return spec
    return f"{spec}{'&' if '?' in spec else '?'}heaviness={heaviness}"


def _network(preset: PresetChoice | None, settings: list[str], init: Path | None) -> tuple[GraNetConfig, str]:
    """The configuration, and a name for the directory."""
    if init is not None and preset is None and not settings:
        from granet.checkpoint import read_checkpoint

        return read_checkpoint(init).config, init.stem
    name = (preset or PresetChoice.paper).value
    changes = {}
    for text in settings:
        key, _, value = text.partition("=")
        try:
            changes[key] = json.loads(value)
        except ValueError as error:
            raise UsageError(
                f"--set {text}: expected NAME=VALUE, as in fine_stage=false or channels=32"
            ) from error
    known = asdict(GraNetConfig.preset(name))
    return GraNetConfig.from_dict(known | changes), name


def _patience(specs: list[str]) -> int:
    return PATIENCE_RAIN100L if all(spec.startswith("rain100l:") for spec in specs) else PATIENCE


def _refuse_existing(out: Path) -> None:
    there = [name for name in OURS if (out / name).exists()]
    if there:
        raise UserError(
            f"{out} has a training ({there[0]}): --resume goes on with it, --overwrite replaces it"
        )


def _prepare(out: Path, resume: bool) -> None:
    """Makes the directory; what is replaced goes, and what a killed training left half-written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in () if resume else OURS:
            (out / name).unlink(missing_ok=True)
        for left in out.glob(".*"):
            if re.fullmatch(r"\.(best|last|state|log)\.[0-9a-f]{8}\.(pt|png|jsonl)", left.name):
                left.unlink()
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from error


def _workers(wanted: int | None, processes: "Processes") -> int:
    """On a CPU, preparing a batch costs a fiftieth of learning from it; a GPU would wait for it."""
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // processes.count - 1)) if processes.device.type == "cuda" else 0


def _training_data(recipe: Recipe, datasets: list[Dataset]) -> TrainingData:
    cutting = Cutting(recipe.crop, recipe.long_side, recipe.dry)
    return TrainingData(datasets, recipe.weights, recipe.seed, cutting, recipe.epoch_size)


def _headline(
    trainer: "Trainer",
    data: list[Dataset],
    validation: list[Dataset],
    epoch_size: int,
    processes: "Processes",
) -> str:
    def titles(sets: list[Dataset]) -> str:
        return ", ".join(f"{dataset.title} ({len(dataset)})" for dataset in sets)

    parameters = sum(parameter.numel() for parameter in trainer.result.parameters())
    several = f", {processes.count} processes" if processes.count > 1 else ""
    begun = f"; goes on after step {trainer.progress.steps}" if trainer.progress.steps else ""
    return (
        f"training {parameters:,} parameters on {processes.device}{several}: {titles(data)}; "
        f"{epoch_size} samples an epoch; validation {titles(validation)}{begun}"
    )


def _resume_command() -> str:
    arguments = [argument for argument in sys.argv[1:] if argument not in ("--resume", "--overwrite")]
    return shlex.join(["granet-train", *arguments, "--resume"])


def main() -> None:
    """The entry point of ``granet-train``."""
    raise SystemExit(run_app(app))


if __name__ == "__main__":  # python -m granet.training.cli, which torchrun can start as well
    main()
