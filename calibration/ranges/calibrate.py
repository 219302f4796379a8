"""Makes the calibration table of a model from rain pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from calibration.pictures.selection import Candidate, check_rain, choose, fitted, measure
from calibration.pictures.sets import PictureSet
from calibration.ranges.methods import clipping_range
from calibration.ranges.observe import Observation, Observer
from calibration.table import CalibrationTable, Method, Range
from granet.app.console import Say
from granet.app.progress import Progress, labelled
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.artefact import Model


@dataclass(frozen=True)
class Calibration:
    """The observations of :func:`calibrate`, from which tables by any method can be made.

    Attributes:
        model_sha256: SHA-256 of the observed model.
        source: where the pictures came from, for people.
        looked_at: number of pictures that were measured.
        rainy: how many of those look rainy.
        chosen: the pictures that the model ran on.
        observation: the observed values of its tensors.
    """

    model_sha256: str
    source: str
    looked_at: int
    rainy: int
    chosen: tuple[Candidate, ...]
    observation: Observation

    def table(self, method: str) -> CalibrationTable:
        """Makes the table by one of :data:`calibration.table.METHODS`."""
        seen = self.observation.seen
        return CalibrationTable(
            model_sha256=self.model_sha256,
            method=cast(Method, method),  # clipping_range refuses any other
            ranges={name: _float32(clipping_range(seen[name], method)) for name in seen},
            images=tuple(candidate.image for candidate in self.chosen),
            extremes={name: _float32((seen[name].low, seen[name].high)) for name in seen},
            source=self.source,
        )


def calibrate(
    model: Model,
    pictures: PictureSet,
    count: int,
    *,
    size: Size | None = None,
    remedy: str = "add rain pictures",
    force: bool = False,
    say: Say,
    progress: Progress,
    found: Sequence[Candidate] = (),
) -> Calibration:
    """Chooses rain pictures and runs a model on them.

    Args:
        model: a float32 model made by granet-export.
        pictures: the pictures to choose from.
        count: most pictures to choose.
        size: (height, width) to crop pictures to for a dynamic model; ``None`` for no crop.
        remedy: what the user can do if the pictures are too few or dry.
        force: accept too few or dry pictures.
        say: called with one line on anything unexpected.
        progress: called after each picture, first while measuring, then while observing.
        found: the pictures, measured and checked for this model; empty to do that here.

    Raises:
        UserError: if the model was not made by granet-export, is not float32 or has another static size
            than ``size``, or if the pictures are too few, dry, or cannot be read.
    """
    observer = Observer(model)
    size = _size(observer, size)
    if not found:
        found = measure(pictures, size, labelled(progress, "measuring rain"))
        check_rain(found, pictures.source, remedy=remedy, force=force, say=say)
    chosen = choose(found, count)
    wanted = {candidate.number for candidate in chosen}
    for done, (_, name, pixels) in enumerate(pictures.read(wanted), 1):
        observer.add(fitted(pixels, size), name)
        progress(done, len(chosen), f"observing: {name}")
    return Calibration(
        model.sha256,
        pictures.source,
        len(found),
        sum(not candidate.is_dry for candidate in found),
        tuple(chosen),
        observer.result(),
    )


def _size(observer: Observer, asked: Size | None) -> Size | None:
    """The size to crop pictures to: that of a static graph, else the requested one."""
    fit = observer.fit
    if fit.height is None or fit.width is None:
        return asked
    own = (fit.height, fit.width)
    if asked not in (None, own):
        raise UserError(f"{observer.model.path}: takes only {fit}: omit --size, or export with --dynamic")
    return own


def _float32(ends: Range) -> Range:
    """Rounds to the shortest decimals that give the same float32, for a table that people can read."""
    low, high = (_shortest(end) for end in ends)
    return low, high


def _shortest(value: float) -> float:
    return float(str(np.float32(value)))
