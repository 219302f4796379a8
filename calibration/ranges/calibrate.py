"""Rain pictures and a model -> its calibration table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.pictures.selection import Candidate, check_rain, choose, fitted, measure
from calibration.pictures.sets import PictureSet
from calibration.ranges.methods import clipping_range
from calibration.ranges.observe import Observation, Observer
from calibration.table import CalibrationTable, Range
from granet.app.console import Say
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.manifest import sha256_of

Progress = Callable[[str, int, int | None, str], None]
"""Is told what is done, how many are done, of how many (``None`` if that is not known), and the last."""


@dataclass(frozen=True)
class Calibration:
    """What :func:`calibrate` saw, from which tables by any method can be made.

    Attributes:
        model_sha256: of the model that was observed.
        source: where the pictures came from, for people.
        looked_at: pictures that were there.
        chosen: those that the model was shown.
        observation: what its tensors did.
    """

    model_sha256: str
    source: str
    looked_at: int
    chosen: tuple[Candidate, ...]
    observation: Observation

    def table(self, method: str) -> CalibrationTable:
        """The table by one of :data:`calibration.table.METHODS`."""
        seen = self.observation.seen
        return CalibrationTable(
            model_sha256=self.model_sha256,
            method=method,
            ranges={name: _float32(clipping_range(seen[name], method)) for name in seen},
            images=tuple(candidate.image for candidate in self.chosen),
            extremes={name: _float32((seen[name].low, seen[name].high)) for name in seen},
            source=self.source,
        )


def calibrate(
    model: Path,
    pictures: PictureSet,
    count: int,
    *,
    size: Size | None = None,
    force: bool = False,
    say: Say,
    progress: Progress,
) -> Calibration:
    """Chooses rain pictures and shows them to a model.

    Args:
        model: a float32 export of ours.
        pictures: to choose from.
        count: how many pictures, at most.
        size: (height, width) that pictures are cut to for a model of any size; ``None`` for their own.
        force: too few and dry pictures are taken nevertheless.
        say: is told about what the user would not expect.
        progress: is called after each picture.

    Raises:
        UserError: if the model is not of ours, not float32 or of one other size than ``size``, or if the
            pictures are too few, dry, or cannot be read.
    """
    observer = Observer(model)
    size = _size(observer, size)
    found = measure(pictures, size, lambda done, total, name: progress("measuring rain", done, total, name))
    check_rain(found, pictures.source, force=force, say=say)
    chosen = choose(found, count)
    wanted = {candidate.number for candidate in chosen}
    for done, (_, name, pixels) in enumerate(pictures.read(wanted), 1):
        observer.add(fitted(pixels, size), name)
        progress("observing", done, len(chosen), name)
    return Calibration(sha256_of(model), pictures.source, len(found), tuple(chosen), observer.result())


def _size(observer: Observer, asked: Size | None) -> Size | None:
    """What pictures are cut to: the size of a static graph, or what was asked for."""
    fit = observer.fit
    if fit.height is None or fit.width is None:
        return asked
    own = (fit.height, fit.width)
    if asked not in (None, own):
        raise UserError(
            f"{observer.model.path}: computes on {fit} only: leave --size out, or export with --dynamic"
        )
    return own


def _float32(ends: Range) -> Range:
    """The shortest decimals that are the same float32: what a person reads, and what is written."""
    low, high = (_shortest(end) for end in ends)
    return low, high


def _shortest(value: float) -> float:
    return float(str(np.float32(value)))
