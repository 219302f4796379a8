"""Checks the options of ``granet-run``: refuses those that the run would not use."""

from pathlib import Path

from granet.app.console import UsageError
from granet.data.image_files import is_picture
from runtime.model_option import backend_conflict
from runtime.open import ENGINES
from runtime.run.options import RunOptions
from runtime.sinks.open import NULL, WINDOW, is_written_to_disk
from runtime.sinks.video.sink import STDOUT
from runtime.sources.open import can_be_live, is_network
from runtime.sources.pictures.source import has_wildcard

STDIN = "-"


def check_run_options(options: RunOptions) -> None:
    """Refuses a command line that has no source, or an option that the run would not use.

    Raises:
        UsageError: names the two options in conflict; the first conflict is reported.
    """
    _check_alone(options)
    _check_source(options)
    _check_view(options)
    _check_outputs(options)
    _check_model(options)
    if not options.list_cameras and options.config is None and not options.camera and not options.source:
        raise UsageError("give one of --camera and --input (--help lists the options)")


def _check_alone(options: RunOptions) -> None:
    options.refuse_all_but(
        "--list-cameras",
        "--debug",
        conflict="with --list-cameras" if options.list_cameras else None,
        why="listing cameras uses no other option",
    )
    options.refuse_all_but(
        "--config",
        "--debug",
        conflict=None if options.config is None else "with --config",
        why="the file says this for every stream; leave the option out",
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
        why="a file is never waited for; leave the option out",
    )
    options.refuse(
        "--skip-dry",
        conflict=beside if source is not None and _is_one_picture(source) else None,
        why="rain is detected over several seconds, and this is one picture",
    )


def _is_one_picture(source: str) -> bool:
    return not is_network(source) and is_picture(Path(source)) and not has_wildcard(source)


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


def _check_model(options: RunOptions) -> None:
    model, backend = options.model, options.backend
    is_engine = model is not None and Path(model).suffix.lower() in ENGINES
    options.refuse(
        "--rebuild",
        conflict=None if is_engine else "without --model" if model is None else f"with --model {model}",
        why=f"only an engine ({ENGINES[0]}) can be rebuilt",
    )
    unpackaged = backend_conflict("lite", backend) and f"{backend} without --model"
    options.refuse(
        "--backend",
        conflict=unpackaged if model is None else backend_conflict(model, backend),
        why="checkpoints run in torch, engines in tensorrt, and ONNX models, as the packaged ones, in the "
        "others",
    )
