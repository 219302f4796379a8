"""``granet-eval --fixed-camera``: how much flicker of real rain each model removes from a clip."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from granet.app.console import Notes, say
from granet.app.progress import terminal_progress
from granet.errors import UserError
from granet.evaluation.fixed_camera import STATIC_RULE, FixedCamera, Luma, luma, measure_fixed_camera
from granet.paper.tables import print_fixed_camera
from runtime.evaluation.models import EvaluatedModel, open_models
from runtime.evaluation.options import MOST_FRAMES, EvalOptions
from runtime.evaluation.run import print_json, say_models
from runtime.media.frame import Pixels
from runtime.sources.open import open_source


def evaluate_fixed_camera(clip: str, options: EvalOptions) -> None:
    """Measures a clip with each model and prints a table or JSON.

    Args:
        clip: a video file or a directory of frames.
        options: checked by :func:`runtime.evaluation.rules.check_eval_options`.

    Raises:
        UserError: if the clip or a model cannot be used; what is wrong with the clip is reported before
            any model runs.
    """
    most = options.limit or MOST_FRAMES
    before = [luma(frame) for frame in _frames(clip, most + 1)]
    if len(before) > most:
        before.pop()
        if options.limit is None:
            say(f"{clip}: only the first {most} frames are measured (--limit N sets another number)")
    measure_fixed_camera(before, before)  # refuses a clip that is too short or a camera that moves
    with open_models(options.paths(), options.device, options.backend, options.parsed_renames()) as models:
        say_models(models)
        results = {model.name: _measure(clip, before, model) for model in models}
        if options.as_json:
            print_json(_to_json(clip, models, results))
        else:
            print_fixed_camera(clip, results)


def _measure(clip: str, before: list[Luma], model: EvaluatedModel) -> FixedCamera:
    after = []
    with terminal_progress(model.name, "fps") as progress:
        for frame in _frames(clip, len(before)):
            after.append(luma(model.derain(frame[None])[0]))
            progress(len(after), len(before), "")
    return measure_fixed_camera(before, after)


def _frames(clip: str, most: int) -> Iterator[Pixels]:
    """The first frames of a clip: uint8 H x W x 3, RGB.

    Raises:
        UserError: if there is no clip, it is damaged, or its frames differ in size.
    """
    if not Path(clip).exists():
        raise UserError(f"--fixed-camera {clip}: no such video file or directory of frames")
    with open_source(clip, Notes()) as source:
        shape = None
        for frame in islice(source.frames("rgb"), most):
            if shape not in (None, frame.pixels.shape):
                raise UserError(f"{clip}: its frames differ in size: a fixed camera gives frames of one size")
            shape = frame.pixels.shape
            yield frame.pixels
        source.require_whole()


def _to_json(clip: str, models: list[EvaluatedModel], results: dict[str, FixedCamera]) -> dict[str, Any]:
    return {
        "models": [model.to_json() for model in models],
        "fixed_camera": {
            "clip": clip,
            "static_pixels": STATIC_RULE,
            "results": {
                name: {**asdict(found), "flicker_removed": found.flicker_removed}
                for name, found in results.items()
            },
        },
    }
