"""Which options of ``granet-run`` a run would not use, and the check of a command line."""

from collections.abc import Callable, Collection
from pathlib import Path

from granet.app.console import UsageError
from granet.app.used_options import Rule, check_used
from granet.data.image_files import is_picture
from runtime.model_option import backend_conflict
from runtime.open import ENGINES
from runtime.run.options import RunOptions
from runtime.sinks.open import NULL, WINDOW, is_written_to_disk
from runtime.sinks.video.sink import STDOUT
from runtime.sources.open import can_be_live, is_network
from runtime.sources.pictures.source import has_wildcard

STDIN = "-"


def check_run_options(options: RunOptions, given: Collection[str]) -> None:
    """Refuses a command line that leaves an option unused, or says nothing of what to read.

    Args:
        options: of this run.
        given: the options that the user gave.

    Raises:
        UsageError: the line names the two options in conflict.
    """
    check_used(RULES, options, given)
    if options.list_cameras or options.config is not None:
        return
    if options.camera is None and options.source is None:
        raise UsageError("give one of --camera and --input (--help lists the options)")


def _unless_input(fits: Callable[[str], bool]) -> Callable[[RunOptions], str | None]:
    """The conflict of an option that only some values of ``--input`` use."""

    def conflict(options: RunOptions) -> str | None:
        if options.camera is not None:
            return f"with --camera {options.camera}"
        if options.source is None or fits(options.source):
            return None
        return f"with --input {options.source}"

    return conflict


def _with_camera(options: RunOptions) -> str | None:
    return f"with --camera {options.camera}" if options.camera is not None else None


def _without_camera(options: RunOptions) -> str | None:
    return None if options.camera is not None or options.source is None else "with --input"


def _never_live(options: RunOptions) -> str | None:
    if options.source is None or can_be_live(options.source):
        return None
    return f"with --input {options.source}"


def _one_picture(options: RunOptions) -> str | None:
    source = options.source
    if source is None or is_network(source) or not is_picture(Path(source)) or has_wildcard(source):
        return None
    return f"with --input {source}"


def _json_beside_video(options: RunOptions) -> str | None:
    return f"with --output {STDOUT}" if STDOUT in options.outputs else None


def _two_views(options: RunOptions) -> str | None:
    return None if options.show is None else f"with --show {options.show}"


def _writes_nowhere(options: RunOptions) -> str | None:
    """Why no output is there that shows a view."""
    if options.viewers:
        return None
    if options.no_window:
        return "with --no-window"
    return f"with --output {NULL}" if options.outputs else "with --serve"


def _nothing_shown(options: RunOptions) -> str | None:
    return None if options.serve is not None else _writes_nowhere(options)


def _own_view_of_page(options: RunOptions) -> str | None:
    return _writes_nowhere(options) if options.view == "compare" else None


def _slider_without_window(options: RunOptions) -> str | None:
    if options.show != "slider" or WINDOW in options.viewers:
        return None
    return f"with --output {options.viewers[0]}" if options.viewers else "with --serve"


def _no_window_anyway(options: RunOptions) -> str | None:
    if options.outputs:
        return f"with --output {options.outputs[0]}"
    return None if options.serve is None else "with --serve"


def _no_file(options: RunOptions) -> str | None:
    if any(map(is_written_to_disk, options.outputs)):
        return None
    return f"with --output {options.outputs[0]}" if options.outputs else "without --output"


def _no_engine(options: RunOptions) -> str | None:
    if options.model is None:
        return "without --model"
    return None if Path(options.model).suffix.lower() in ENGINES else f"with --model {options.model}"


def _wrong_backend(options: RunOptions) -> str | None:
    if options.model is not None:
        return backend_conflict(options.model, options.backend)
    return backend_conflict("lite", options.backend) and f"{options.backend} without --model"


CAMERA_OPTIONS = ("--camera-format", "--camera-size", "--camera-rate")

RULES: tuple[Rule[RunOptions], ...] = (
    Rule(
        ("--list-cameras", "--debug"),
        lambda options: "with --list-cameras" if options.list_cameras else None,
        "listing cameras uses no other option",
        all_but=True,
    ),
    Rule(
        ("--config", "--debug"),
        lambda options: None if options.config is None else "with --config",
        "the file says this for every stream; leave the option out",
        all_but=True,
    ),
    Rule(("--input",), _with_camera, "give one of --camera and --input"),
    Rule(CAMERA_OPTIONS, _without_camera, "the option is for --camera"),
    Rule(("--raw",), _unless_input(STDIN.__eq__), f"raw frames come from stdin: give --input {STDIN}"),
    Rule(
        ("--live",),
        _unless_input(is_network),
        "the option is for addresses: a camera is always live, and a file never is",
    ),
    Rule(("--give-up-after",), _never_live, "only a live source is waited for"),
    Rule(("--skip-dry",), _one_picture, "one picture is not skipped: whether it rains is seen over seconds"),
    Rule(("--json",), _json_beside_video, "both write to stdout; use one of them"),
    Rule(("--compare",), _two_views, "these are two views; use one of them"),
    Rule(("--show", "--compare"), _nothing_shown, "no output shows a view"),
    Rule(("--show", "--compare"), _own_view_of_page, "the page compares by itself; leave the option out"),
    Rule(("--show",), _slider_without_window, "the slider is for a window: add --output window"),
    Rule(("--no-window",), _no_window_anyway, "there is no window then; leave the option out"),
    Rule(("--overwrite",), _no_file, "no file is written"),
    Rule(("--rebuild",), _no_engine, f"only an engine ({ENGINES[0]}) can be rebuilt"),
    Rule(
        ("--backend",),
        _wrong_backend,
        "checkpoints run in torch, engines in tensorrt, and ONNX models (as the packaged ones) in the others",
    ),
)
"""When a run does not use an option; the first one in conflict is reported."""
