"""``granet-run``: removes rain from pictures, videos, cameras and streams."""

import os

import typer

from granet.app.command import add_command
from granet.app.console import say
from granet.app.program import run_status
from granet.app.results import print_line
from granet.app.signals import die_of_signal
from runtime.run.once import run_once
from runtime.run.options import RunOptions
from runtime.run.rules import check_run_options
from runtime.run.streams import run_streams
from runtime.sources.camera.v4l2 import list_cameras

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


def run(options: RunOptions) -> None:
    """Remove rain from pictures, videos, cameras and streams.

    A video keeps its frame rate, timestamps, sound, colours and orientation; pictures keep their names. No
    frame of a file is lost. A live source is read at its own pace: late frames are dropped and counted, and
    a broken connection is reopened. Ctrl-C finishes a recording; the finished part of a file
    stays as NAME.part.EXT. An option that the run would not use is an error. Exit status: 0 done, 1 failed,
    2 wrong usage; a run that is interrupted dies of the signal (130 or 143 in a shell).
    """
    check_run_options(options)
    if options.list_cameras:
        _print_cameras()
    elif options.config is not None:
        run_streams(options.config)
    else:
        run_once(options)


def _print_cameras() -> None:
    cameras = list_cameras()
    for camera in cameras:
        print_line(f"{camera.device}  {camera.name or camera.problem}")
        for mode in camera.modes:
            print_line(f"    {mode}")
    if not cameras:
        say("this machine has no camera that you may open")


add_command(app, RunOptions, run)


def main() -> None:
    """Entry point of ``granet-run``."""
    status = run_status(app)
    die_of_signal(status)
    # Not sys.exit: the outputs are finished. Unloading the libraries takes seconds on a busy machine, and
    # may crash under a thread that still reads from one of them.
    os._exit(status)


if __name__ == "__main__":
    main()
