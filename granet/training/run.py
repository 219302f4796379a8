"""Runs a training from its options: opens the data, makes the trainer, trains."""

import re
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from granet.app.console import Interrupted, UsageError, say
from granet.app.cores import usable_cores
from granet.app.signals import on_interrupt
from granet.data.datasets import Dataset, open_dataset
from granet.errors import UserError
from granet.model import GraNet
from granet.training.compute import CANDIDATES, PLAIN, Compute, fastest
from granet.training.files import TrainingFiles
from granet.training.make_recipe import make_recipe
from granet.training.options import TrainOptions
from granet.training.processes import Processes, joined
from granet.training.recipe import Recipe
from granet.training.revive import PICTURES, revive
from granet.training.samples import Cutting, TrainingData
from granet.training.start import earlier_training, first_network
from granet.training.state import load_state
from granet.training.teacher import load_teacher
from granet.training.trainer import Trainer
from granet.training.validation import Validation


def run_training(options: TrainOptions) -> None:
    """Trains with the given options.

    Raises:
        UserError: if something is missing or wrong; files of an earlier training then stay.
        Interrupted: after Ctrl-C or SIGTERM; the training can be resumed.
        FailedElsewhere: if another process has failed, which reports the error.
    """
    recipe, files = make_recipe(options), TrainingFiles(options.out)
    data = [open_dataset(options.with_data(spec), "train") for spec in recipe.train]
    validation = [open_dataset(options.with_data(spec), "test") for spec in recipe.val]
    if options.threads_per_process is not None:
        torch.set_num_threads(options.threads_per_process)
        cv2.setNumThreads(options.threads_per_process)
    with joined(options.device) as processes:
        if options.overwrite:
            processes.on_main(lambda: _keep_sources(recipe, files))
        elif not options.resume:
            processes.on_main(files.refuse_existing)
        announce: Callable[[str], None] = say if processes.is_main else lambda message: None
        samples = _training_data(recipe, options, data, processes)
        for dataset in samples.unused:
            announce(
                f"note: no sample is of {dataset.title}: its share of {samples.epoch_size} is less than one; "
                "give a larger --epoch-size"
            )
        earlier = _check_start(options, recipe, samples.epoch_size)
        network = _network(options, recipe, samples, processes.device, announce)
        measured = Validation(validation, processes, network.config.size_rule)
        compute = _compute(options, network, earlier, samples, processes, announce)
        trainer = Trainer(
            recipe, samples, measured, options.out, options.limits, processes, announce,
            workers=_workers(options.workers, processes), compiled=options.compiled, compute=compute,
            network=network,
        )  # fmt: skip
        if options.go_on_from is not None:
            trainer.go_on_from(options.go_on_from)
        with ExitStack() as held:
            prepared = files.prepared(resume=options.resume, overwrite=options.overwrite)
            processes.on_main(lambda: held.enter_context(prepared))
            if options.resume:  # it rewrites the log, so no other training may write to it
                trainer.resume()
            announce(_headline(trainer, data, validation, samples.epoch_size, processes))
            _train(trainer, announce)


def _keep_sources(recipe: Recipe, files: TrainingFiles) -> None:
    """Refuses to replace the training that holds the weights to start or to learn from."""
    for option, source in (("--init", recipe.init), ("--teacher", recipe.teacher)):
        if source is not None and files.holds(Path(source)):
            raise UsageError(
                f"{option} {source} with --overwrite: the file would be removed; give another --out"
            )


def _training_data(
    recipe: Recipe, options: TrainOptions, datasets: list[Dataset], processes: Processes
) -> TrainingData:
    cutting = Cutting(recipe.crop, recipe.long_side, recipe.dry, options.limits.epochs or 1)
    data = TrainingData(datasets, recipe.weights, recipe.seed, cutting, recipe.epoch_size)
    step = recipe.batch * processes.count
    if step > data.epoch_size:
        raise UsageError(
            f"a step has {step} samples and an epoch {data.epoch_size}: give --epoch-size {step} or more, or "
            "a smaller --batch"
        )
    if recipe.crop is not None and len(recipe.crop) > 1 and data.epoch_size % step:
        raise UsageError(
            f"--crop with several sizes needs epochs of whole steps: --epoch-size {data.epoch_size} "
            f"is not a multiple of {step}"
        )
    if recipe.crop is not None:
        _check_crop(max(recipe.crop), datasets)
    return data


def _check_crop(side: int, datasets: list[Dataset]) -> None:
    """Refuses crops larger than every picture of a data set; single smaller pictures are padded."""
    for dataset in datasets:
        sides = (max(dataset.read(index).clean.shape[:2]) for index in range(len(dataset)))
        longest = 0
        while longest < side and (found := next(sides, None)) is not None:
            longest = max(longest, found)
        if longest < side:
            raise UserError(
                f"--crop {side} is larger than the pictures of {dataset.title}, whose longest side has "
                f"{longest} pixels: use a smaller crop"
            )


def _check_start(options: TrainOptions, recipe: Recipe, epoch_size: int) -> Compute | None:
    """Checks the files that the training starts from; returns the compute of a training to resume."""
    if recipe.teacher is not None:
        load_teacher(recipe.teacher)
    if options.go_on_from is not None:
        earlier_training(options.go_on_from, recipe, epoch_size)
    if not options.resume:
        return None
    state = load_state(options.out / "state.pt")
    recipe.require_same(state.recipe)
    return state.compute


def _network(
    options: TrainOptions,
    recipe: Recipe,
    data: TrainingData,
    device: torch.device,
    announce: Callable[[str], None],
) -> GraNet:
    """The network before the first step; a training that goes on needs no --init: it has its own weights."""
    network = first_network(replace(recipe, init=None) if options.goes_on else recipe)
    if recipe.revive and not options.goes_on:
        announce(f"looking for channels that are 0 on {PICTURES} samples")
        network.to(device)
        crops = (torch.from_numpy(data.batch(number, 1)[0]) for number in range(PICTURES))
        revived, total = revive(network, (PLAIN.image(crop, device) for crop in crops), recipe.seed)
        announce(f"{revived} of {total} channels were silent and have new weights")
    return network


def _compute(
    options: TrainOptions,
    network: GraNet,
    earlier: Compute | None,
    data: TrainingData,
    processes: Processes,
    announce: Callable[[str], None],
) -> Compute:
    """The number format and memory layout: as requested, else the fastest, which is announced."""
    asked = [
        way
        for way in CANDIDATES
        if options.precision in ("auto", way.precision) and options.channels_last in (None, way.channels_last)
    ]
    if len(asked) == 1:
        return asked[0]
    pixels = torch.from_numpy(data.batch(0, options.batch)[0])
    preferred = earlier if earlier in asked else None
    found, line = fastest(network, pixels, processes.device, asked, preferred, processes.total)
    announce(line)
    if earlier is not None and found != earlier:
        why = "which is slower on this machine" if preferred else "which the options exclude"
        announce(f"note: the training began in {earlier}, {why}: it continues in {found}")
    return found


def _train(trainer: Trainer, announce: Callable[[str], None]) -> None:
    with on_interrupt(lambda: None) as interruption:
        complete = trainer.run(lambda: interruption.happened)
    progress, out = trainer.progress, trainer.files.out
    best = "not validated yet" if progress.best_db is None else f"best {progress.best_db:.2f} dB paper"
    done = f"{progress.steps} steps, {progress.samples} samples, {progress.seconds / 60:.1f} min; {best}"
    if complete:
        announce(f"{out}: complete after {done}")
    else:
        announce(f"{out}: interrupted after {done}; resume with: {_resume_command()}")
        raise Interrupted(interruption.number)


def _workers(wanted: int | None, processes: Processes) -> int:
    """Default threads: enough to keep a GPU busy; on a CPU one, if a core is idle."""
    if wanted is not None:
        return wanted
    spare = usable_cores() // processes.count - 1
    return max(1, min(8, spare)) if processes.device.type == "cuda" else max(0, min(1, spare))


def _headline(
    trainer: Trainer,
    data: list[Dataset],
    validation: list[Dataset],
    epoch_size: int,
    processes: Processes,
) -> str:
    def titles(sets: list[Dataset]) -> str:
        return ", ".join(f"{dataset.title} ({len(dataset)})" for dataset in sets)

    parameters = sum(parameter.numel() for parameter in trainer.learner.result.parameters())
    several = f", {processes.count} processes" if processes.count > 1 else ""
    resumed = f"; continues after step {trainer.progress.steps}" if trainer.progress.steps else ""
    return (
        f"training {parameters:,} parameters on {processes.device}{several}: {titles(data)}; "
        f"{epoch_size} samples per epoch; validation on {titles(validation)}{resumed}"
    )


def _resume_command() -> str:
    arguments = list(sys.argv[1:])
    if "--continue" in arguments:
        at = arguments.index("--continue")
        del arguments[at : at + 2]
    once = re.compile("--resume|--overwrite|--continue=.*", re.DOTALL)
    arguments = [argument for argument in arguments if not once.fullmatch(argument)]
    return shlex.join(["granet-train", *arguments, "--resume"])
