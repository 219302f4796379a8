"""``granet-archive``: whole archives of recordings, on one machine or many."""

import json
import os
import sys
from collections.abc import Callable, Mapping

import typer

from granet.app.command import Options, add_command
from granet.app.program import run_program
from granet.app.results import print_line
from runtime.archive.options import ArchiveOptions, StatusOptions, WorkerOptions
from runtime.archive.run import run_archive
from runtime.archive.status import current_job, status_of
from runtime.archive.storage.place import storage_at
from runtime.archive.worker import run_worker


def archive(options: ArchiveOptions) -> None:
    """Remove rain from an archive of recordings. DST mirrors SRC.

    The job is planned once, in DST/.granet-archive. Each segment is processed, decoded again and counted
    before it is published, and each recording gets its name when it is complete, with sound and subtitles.
    After Ctrl-C, a crash or a reboot, run the same command to continue. granet-archive status DST shows how
    far a job is; granet-archive worker DST --shard I/N does a share of it on another machine. Exit status:
    0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    run_archive(options)


def status(options: StatusOptions) -> None:
    """Show how far the job in DST is."""
    found = status_of(*current_job(storage_at(options.destination)))
    if options.as_json:
        sys.stdout.write(json.dumps(found.to_dict()) + "\n")
    else:
        for line in found.lines():
            print_line(line)


def worker(options: WorkerOptions) -> None:
    """Work on one share of the job in DST, without a coordinator.

    Plan the job first, with granet-archive SRC DST on any machine. Any number of workers may run at the same
    time or again. The last one joins the recordings.
    """
    run_worker(options)


COMMANDS: Mapping[str, tuple[type[Options], Callable[..., None]]] = {
    "": (ArchiveOptions, archive),
    "status": (StatusOptions, status),
    "worker": (WorkerOptions, worker),
}
"""First word of the arguments -> options and function; the empty word stands for a source."""


def app_of(word: str) -> typer.Typer:
    """The command that a first word selects: one of :data:`COMMANDS`; any other word is a source."""
    options, command = COMMANDS.get(word, COMMANDS[""])
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    add_command(app, options, command)
    return app


def main() -> None:
    """Entry point of ``granet-archive``; a source named ``status`` is written ``./status``."""
    arguments = sys.argv[1:]
    word = arguments[0] if arguments else _word_to_complete(os.environ)
    run_program(app_of(word), arguments[1:] if word and word in COMMANDS and arguments else arguments)


def _word_to_complete(environment: Mapping[str, str]) -> str:
    """The first word of a command line whose next word the shell asks for; empty without one.

    The shell's script starts the command without arguments, and gives the line in the environment.
    """
    line = environment.get("_TYPER_COMPLETE_ARGS") or environment.get("COMP_WORDS") or ""
    _, _, rest = line.strip().partition(" ")
    return rest.split()[0] if rest.split() else ""


if __name__ == "__main__":
    main()
