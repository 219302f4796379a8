"""``granet-train``: trains a network and writes ``best.pt``; the defaults are the paper's recipe."""

import os
import sys

import typer

from granet.app.command import add_command
from granet.app.console import UsageError
from granet.app.environment import whole_number
from granet.app.extras import require
from granet.app.program import run_program
from granet.training.options import TrainOptions
from granet.training.recipe_file import TrainCommandOptions
from granet.training.rules import check_train_options

app = typer.Typer(
    help="Train GraNet.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

PACKAGES = ("torch", "safetensors", "matplotlib")
"""Packages that training needs beyond the base install."""


def train(options: TrainOptions) -> None:
    """Train GraNet with the paper's recipe (section 4.3), unless options change it.

    Ctrl-C stops after the current step; --resume then resumes the training. For several GPUs, run
    torchrun --nproc-per-node N --no-python granet-train with the same options. An option that the training
    would not use is an error.
    """
    check_train_options(options)
    require("training", *PACKAGES)
    if _must_start_others(options.processes):
        raise typer.Exit(_run_all(options))
    from granet.training.launch import FOLLOWED
    from granet.training.processes import FailedElsewhere
    from granet.training.run import run_training

    try:
        run_training(options)
    except FailedElsewhere:
        raise typer.Exit(FOLLOWED) from None


def _must_start_others(processes: int | None) -> bool:
    """Whether this process must start the others; torchrun or such a process may have done it.

    Raises:
        UsageError: if torchrun has started another number of processes.
        UserError: if ``WORLD_SIZE`` is not a number.
    """
    started = whole_number("WORLD_SIZE", 0) or None
    if processes is None:
        return False
    if started is not None and started != processes:
        raise UsageError(
            f"--processes {processes} starts processes, but torchrun has already started {started}: use one"
        )
    return started is None and processes > 1


def _run_all(options: TrainOptions) -> int:
    from granet.training.launch import run_processes

    command = [sys.executable, "-m", "granet.training.cli", *sys.argv[1:]]
    return run_processes(options.processes or 1, command, own_threads=options.threads is not None)


add_command(app, TrainCommandOptions, train)


def main() -> None:
    """The entry point of ``granet-train``."""
    run_program(app, silent=os.environ.get("RANK", "0") != "0")  # the main process prints for all


if __name__ == "__main__":  # how --processes starts this command
    main()
