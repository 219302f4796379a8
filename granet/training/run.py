"""A training from its options: everything that takes part is opened and made, then trained."""

import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from granet.app.console import Interrupted, UsageError, say
from granet.app.signals import on_interrupt
from granet.data.datasets import Dataset, open_dataset
from granet.errors import UserError
from granet.training.compute import CANDIDATES, Compute, fastest
from granet.training.options import TrainOptions
from granet.training.processes import Processes, joined
from granet.training.recipe import Recipe
from granet.training.samples import Cutting, TrainingData
from granet.training.state import load_state
from granet.training.trainer import Trainer, first_network
from granet.training.validation import Validation

OURS = ("best.pt", "last.pt", "state.pt", "log.jsonl", "log.png")
"""What a training writes into its directory."""


def run_training(options: TrainOptions) -> None:
    """Trains as ``options`` say.

    Raises:
        UserError: one line, if something is missing or wrong; what was there before is left.
        Interrupted: after Ctrl-C; it can be resumed.
        FailedElsewhere: in a process beside the main one, if that one has failed.
    """
    recipe = options.recipe()
    data = [open_dataset(options.with_data(spec), "train") for spec in recipe.train]
    validation = [open_dataset(options.with_data(spec), "test") for spec in recipe.val]
    if options.threads is not None:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
    with joined(options.device) as processes:
        if not (options.resume or options.overwrite):
            processes.on_main(lambda: _refuse_existing(options.out))
        tell: Callable[[str], None] = say if processes.is_main else lambda message: None
        samples = _training_data(recipe, options, data, processes)
        measured = Validation(validation, processes)
        compute = _compute(options, recipe, samples, processes, tell)
        trainer = Trainer(
            recipe, samples, measured, options.out, options.limits, processes, tell,
            workers=_workers(options.workers, processes), compiled=options.compiled, compute=compute,
        )  # fmt: skip
        if options.resume:
            trainer.resume()
        if options.go_on_from is not None:
            trainer.go_on_from(options.go_on_from)
        processes.on_main(lambda: _prepare(options.out, options.resume))
        tell(_headline(trainer, data, validation, samples.epoch_size, processes))
        _train(trainer, options.out, tell)


def _training_data(
    recipe: Recipe, options: TrainOptions, datasets: list[Dataset], processes: Processes
) -> TrainingData:
    cutting = Cutting(recipe.crop, recipe.long_side, recipe.dry, options.limits.epochs or 1)
    data = TrainingData(datasets, recipe.weights, recipe.seed, cutting, recipe.epoch_size)
    step = recipe.batch * processes.count
    if recipe.crop is not None and len(recipe.crop) > 1 and data.epoch_size % step:
        raise UsageError(
            f"--crop with several sizes needs epochs of whole steps: --epoch-size {data.epoch_size} "
            f"is not a multiple of {step}"
        )
    if recipe.crop is not None:
        _check_crop(max(recipe.crop), datasets)
    return data


def _check_crop(side: int, datasets: list[Dataset]) -> None:
    """A crop that fits no picture of a set is a mistake; where some are smaller, they are filled up."""
    for dataset in datasets:
        height, width = dataset.read(0).clean.shape[:2]
        if side > max(height, width):
            raise UserError(
                f"--crop {side} is larger than the pictures of {dataset.title} "
                f"({dataset.names[0]} has {width}x{height} pixels): give a smaller one"
            )


def _compute(
    options: TrainOptions,
    recipe: Recipe,
    data: TrainingData,
    processes: Processes,
    tell: Callable[[str], None],
) -> Compute:
    """What was asked for; what is left open is measured, and the choice said."""
    asked = [
        way
        for way in CANDIDATES
        if options.precision in ("auto", way.precision) and options.channels_last in (None, way.channels_last)
    ]
    begun = load_state(options.out / "state.pt").compute if options.resume else None
    if len(asked) == 1:
        return asked[0]
    pixels = torch.from_numpy(data.batch(0, recipe.batch)[0])
    preferred = begun if begun in asked else None
    found, line = fastest(first_network(recipe), pixels, processes.device, asked, preferred, processes.total)
    tell(line)
    if begun is not None and found != begun:
        tell(f"note: the training began in {begun}, which is slower on this machine: it goes on in {found}")
    return found


def _train(trainer: Trainer, out: Path, tell: Callable[[str], None]) -> None:
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


def _workers(wanted: int | None, processes: Processes) -> int:
    """A GPU would wait for batches; on a CPU a thread beside the training helps where a core is free."""
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    spare = cores // processes.count - 1
    return max(1, min(8, spare)) if processes.device.type == "cuda" else min(1, spare)


def _headline(
    trainer: Trainer,
    data: list[Dataset],
    validation: list[Dataset],
    epoch_size: int,
    processes: Processes,
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
    arguments = list(sys.argv[1:])
    if "--continue" in arguments:
        at = arguments.index("--continue")
        del arguments[at : at + 2]
    arguments = [argument for argument in arguments if argument not in ("--resume", "--overwrite")]
    return shlex.join(["granet-train", *arguments, "--resume"])
