"""Checks the options of ``granet-run``: refuses those that the run would not use."""

from granet.app.command import EVERYWHERE
from granet.app.console import UsageError
from runtime.encoding_option import ENCODING_OPTIONS
from runtime.model_option import check_model_options
from runtime.run.options import RunOptions
from runtime.sinks.open import NULL, WINDOW, is_encoded, is_written_to_disk
from runtime.sinks.video.sink import STDOUT
from runtime.sources.camera.gstreamer import is_pipeline
from runtime.sources.kind import (
    can_be_live,
    is_network,
    is_pictures,
    may_lose_parts,
)
from runtime.sources.part.suitable import unsuitable

STDIN = "-"


def check_run_options(options: RunOptions) -> None:
    """Refuses a command line that has no source, or an option that the run would not use.

    Raises:
        UsageError: names the two options in conflict; the first conflict is reported.
    """
    _check_alone(options)
    _check_source(options)
    _check_part(options)
    _check_view(options)
    _check_outputs(options)
    _check_encoding(options)
    check_model_options(options, options.model, options.device, options.backend, options.renames)
    if not options.list_cameras and options.config is None and not options.camera and not options.source:
        raise UsageError("give one of --camera and --input (--help lists the options)")


def _check_alone(options: RunOptions) -> None:
    options.refuse_all_but(
        "--list-cameras",
        *EVERYWHERE,
        conflict="with --list-cameras" if options.list_cameras else None,
        why="listing cameras uses no other option",
    )
    options.refuse_all_but(
        "--config",
        *EVERYWHERE,
        conflict=None if options.config is None else "with --config",
        why="the file has every setting of the run; leave the option out",
    )


def _check_source(options: RunOptions) -> None:
    camera, source = options.camera, options.source
    beside = f"with --camera {camera}" if camera is not None else f"with --input {source}"
    some = camera is not None or source is not None
    options.refuse(
        "--input", conflict=None if camera is None else beside, why="give one of --camera and --input"
    )
    options.refuse(
        "--camera-format",
        "--camera-size",
        "--camera-rate",
        conflict="with --input" if camera is None and source is not None else None,
        why="the option is for --camera",
    )
    options.refuse(
        "--raw",
        conflict=beside if some and source != STDIN else None,
        why=f"raw frames come from stdin: give --input {STDIN}",
    )
    options.refuse(
        "--live",
        conflict=beside if some and (source is None or not is_network(source)) else None,
        why="the option is for addresses: a camera is always live, and a file never is",
    )
    options.refuse(
        "--give-up-after",
        conflict=beside if source is not None and not can_be_live(source) else None,
        why="the run does not wait for a file; leave the option out",
    )
    options.refuse(
        "--strict",
        conflict=None if source is not None and may_lose_parts(source) else beside if some else None,
        why="the option is for videos and folders: damage of a live source is skipped, and one damaged "
        "picture is an error",
    )
    options.refuse(
        "--skip-dry",
        conflict=beside if source is not None and is_pictures(source) else None,
        why="rain is detected over several seconds of a video, and pictures have no times",
    )


def _check_part(options: RunOptions) -> None:
    camera, source = options.camera, options.source
    beside = f"with --camera {camera}" if camera is not None else f"with --input {source}"
    for name, why in unsuitable(source if camera is None else None).items():
        options.refuse(f"--{name}", conflict=beside if camera or source else None, why=why)
    undecoded = (
        camera is not None
        or options.raw is not None
        or (source is not None and (is_pictures(source) or is_pipeline(source)))
    )
    options.refuse(
        "--hwaccel",
        conflict=beside if undecoded else None,
        why="the option is for video files and addresses",
    )
    endless = options.duration is None and options.max_frames is None and options.writes_files
    options.refuse(
        "--loop",
        conflict=_beside_output(options) if endless else None,
        why="the file would never end: add --duration or --max-frames",
    )
    options.parsed_part()


def _check_view(options: RunOptions) -> None:
    options.refuse(
        "--compare",
        conflict=None if options.show is None else f"with --show {options.show}",
        why="each chooses a view; give one of them",
    )
    hidden = _why_hidden(options)
    options.refuse(
        "--show", "--compare", conflict=None if options.serve else hidden, why="no output shows a view"
    )
    options.refuse(
        "--show",
        "--compare",
        conflict=hidden if options.view == "compare" else None,
        why="the page always offers both pictures; leave the option out",
    )
    if options.show == "slider" and WINDOW not in options.viewers:
        beside = f"with --output {options.viewers[0]}" if options.viewers else "with --serve"
        options.refuse("--show", conflict=beside, why="the slider needs a window: add --output window")


def _why_hidden(options: RunOptions) -> str | None:
    """The option that leaves the run without an output that shows a view."""
    if options.viewers:
        return None
    if options.no_window:
        return "with --no-window"
    return f"with --output {NULL}" if options.outputs else "with --serve"


def _check_outputs(options: RunOptions) -> None:
    outputs = options.outputs
    first = f"with --output {outputs[0]}" if outputs else None
    options.refuse(
        "--json",
        conflict=f"with --output {STDOUT}" if STDOUT in outputs else None,
        why="both write to stdout; give one of them",
    )
    options.refuse(
        "--no-window",
        conflict=first or (None if options.serve is None else "with --serve"),
        why="this run opens no window; leave the option out",
    )
    options.refuse(
        "--overwrite",
        conflict=None if any(map(is_written_to_disk, outputs)) else first or "without --output",
        why="the run writes no file",
    )


def _check_encoding(options: RunOptions) -> None:
    options.refuse(
        *ENCODING_OPTIONS,
        conflict=None if any(map(is_encoded, options.outputs)) else _beside_output(options),
        why="the run encodes no video",
    )


def _beside_output(options: RunOptions) -> str:
    return f"with --output {options.outputs[0]}" if options.outputs else "without --output"
