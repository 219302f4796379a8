"""``granet-run``: removes rain from pictures, videos, cameras and streams."""

import os
import sys
from contextlib import suppress

import typer

from granet.app.command import add_command
from granet.app.console import run_app, say
from runtime.run.once import run_once
from runtime.run.options import RunOptions
from runtime.run.rules import check_run_options
from runtime.run.streams import run_streams
from runtime.sources.camera.v4l2 import list_cameras

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def run(options: RunOptions) -> None:
    """Remove rain from pictures, videos, cameras and streams.

    A video keeps its frame rate, timestamps, sound, colours and orientation; pictures keep their names. No
    frame of a file is lost. A live source is read at its own pace: late frames are dropped and counted, and
    a broken connection is reopened. Ctrl-C finishes the output. An option that the run would not use is an
    error. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
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
        sys.stdout.write(f"{camera.device}  {camera.name or camera.problem}\n")
        sys.stdout.writelines(f"    {mode}\n" for mode in camera.modes)
    if not cameras:
        say("this machine has no camera that you may open")


add_command(app, RunOptions, run)


def main() -> None:
    """Entry point of ``granet-run``."""
    status = run_app(app)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # Not sys.exit: the outputs are finished. Unloading the libraries takes seconds on a busy machine, and
    # may crash under a thread that still reads from one of them.
    os._exit(status)


if __name__ == "__main__":
    main()
