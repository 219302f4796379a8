"""Selects calibration pictures: rainy ones, from drizzle to downpour and from dark to bright."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.pictures.sets import PictureSet
from calibration.table import CalibrationImage
from granet.app.console import Say
from granet.app.progress import Progress
from granet.errors import UserError
from granet.size_rule import Size
from runtime.media.frame import Pixels
from runtime.views.rain_strength import DRY_PICTURE_BELOW, rain_strength

LEAST = 128
"""Least number of pictures; with fewer, the ranges describe those pictures, not rain in general."""

LEAST_RAINY = 1 / 3
"""Least share of rainy pictures. In a set of clean pictures up to a quarter looks rainy."""


@dataclass(frozen=True)
class Candidate:
    """A picture that was measured.

    Attributes:
        number: number of the picture in its set.
        image: its entry for the table.
        brightness: mean of all values, in grey levels.
    """

    number: int
    image: CalibrationImage
    brightness: float

    @property
    def is_dry(self) -> bool:
        """Whether it has hardly any streaks."""
        return self.image.rain < DRY_PICTURE_BELOW


def fitted(pixels: Pixels, size: Size | None) -> Pixels:
    """Crops H x W x 3 pixels at the centre to at most ``size``; the engine pads smaller pictures.

    Pictures are not resampled, which would change the size of the streaks.
    """
    if size is None:
        return pixels
    top, left = (max(0, (have - want) // 2) for have, want in zip(pixels.shape[:2], size, strict=True))
    return pixels[top : top + size[0], left : left + size[1]]


def measure(pictures: PictureSet, size: Size | None, progress: Progress) -> list[Candidate]:
    """Measures the rain of every whole picture, and the brightness of its part for the model.

    Rain is judged at a size of its own: a small model's part of a picture holds too few blocks. Cut to
    160x120, 47% of 409 dry photographs (BSDS500) look rainy, as whole pictures 18%.

    Args:
        pictures: the set.
        size: (height, width) that the model sees of a picture; ``None`` for all of it.
        progress: called after each picture.

    Raises:
        UserError: if a picture cannot be read.
    """
    found = []
    for number, name, pixels in pictures.read():
        seen = fitted(pixels, size)
        height, width = seen.shape[:2]
        rain = round(rain_strength(pixels), 4)
        image = CalibrationImage(name, pixels_sha256(seen), (height, width), rain)
        found.append(Candidate(number, image, float(seen.mean())))
        progress(len(found), pictures.total, name)
    return found


def pixels_sha256(pixels: Pixels) -> str:
    """SHA-256 of uint8 H x W x 3 pixels, row by row, hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def check_rain(candidates: Sequence[Candidate], source: str, *, remedy: str, force: bool, say: Say) -> None:
    """Refuses sets with too few pictures or too little rain.

    Args:
        candidates: all measured pictures.
        source: where they come from, for the message.
        remedy: what the user can do, with the options of the command that runs.
        force: report the problem with ``say`` instead of raising.
        say: called with the problem if ``force`` is true.

    Raises:
        UserError: if there are no pictures, or the set is refused.
    """
    total, dry = len(candidates), sum(candidate.is_dry for candidate in candidates)
    if not total:
        raise UserError(f"{source}: no pictures")
    faults = []
    if total < LEAST:
        faults.append(_too_few(total))
    if total - dry < LEAST_RAINY * total:
        faults.append(f"{dry} of {total} pictures look dry")
    if not faults:
        return
    if not force:
        raise UserError(f"{source}: {'; '.join(faults)}: {remedy}")
    say(f"{source}: {'; '.join(faults)}; used anyway (--force)")


def check_count(pictures: PictureSet, remedy: str) -> None:
    """Refuses a set that is known to be too small before its pictures are read; see :func:`check_rain`.

    Raises:
        UserError: if it is.
    """
    if pictures.total is not None and pictures.total < LEAST:
        raise UserError(f"{pictures.source}: {_too_few(pictures.total)}: {remedy}")


def _too_few(total: int) -> str:
    return f"{total} pictures, but at least {LEAST} are needed"


def choose(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Chooses ``count`` candidates that cover rain and brightness evenly, or all if there are fewer.

    Dry pictures are used only if there are too few rainy ones. The rest is divided by rain into groups of
    equal size; each group contributes pictures evenly spaced by brightness, including its darkest and its
    brightest. The choice is deterministic.

    Returns:
        The chosen candidates, in the order of the set.
    """
    wettest = sorted(candidates, key=lambda c: (-c.image.rain, c.number))
    rainy = sum(not candidate.is_dry for candidate in candidates)
    pool = wettest[: max(count, rainy)]
    if len(pool) <= count:
        return sorted(pool, key=lambda c: c.number)
    layers = round(count**0.5)
    chosen: list[Candidate] = []
    for layer in range(layers):
        first, last = count * layer // layers, count * (layer + 1) // layers
        # With these bounds a group always has enough members.
        members = pool[first * len(pool) // count : last * len(pool) // count]
        chosen += _spread(members, last - first)
    return sorted(chosen, key=lambda c: c.number)


def _spread(members: Sequence[Candidate], count: int) -> Iterator[Candidate]:
    """``count`` of ``members``, evenly spaced by brightness, including the first and the last."""
    by_brightness = sorted(members, key=lambda c: (c.brightness, c.number))
    places = np.linspace(0, len(by_brightness) - 1, count).round().astype(int)
    return (by_brightness[place] for place in places)
