"""Which pictures a model is calibrated on: rainy ones, from drizzle to cloudburst and from dark to bright."""

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
"""Pictures below which ranges are those of these pictures, not of rain."""

LEAST_RAINY = 1 / 3
"""Share of rainy pictures below which a set is refused. Of clean pictures a quarter looks rainy at most."""

"""Is told how many are done, of how many (``None`` if that is not known), and the name of the last."""


@dataclass(frozen=True)
class Candidate:
    """A picture that was looked at.

    Attributes:
        number: in its set.
        image: what the table records of it.
        brightness: mean of all values, in grey levels.
    """

    number: int
    image: CalibrationImage
    brightness: float

    @property
    def is_dry(self) -> bool:
        """Whether hardly any streaks were found."""
        return self.image.rain < DRY_PICTURE_BELOW


def fitted(pixels: Pixels, size: Size | None) -> Pixels:
    """The middle of H x W x 3 pixels, of ``size`` at most; what is smaller is the engine's to pad.

    No resampling: that would make the streaks another size than a camera's.
    """
    if size is None:
        return pixels
    top, left = (max(0, (have - want) // 2) for have, want in zip(pixels.shape[:2], size, strict=True))
    return pixels[top : top + size[0], left : left + size[1]]


def measure(pictures: PictureSet, size: Size | None, progress: Progress) -> list[Candidate]:
    """Looks at every picture, cut to ``size`` as the model will see it.

    Raises:
        UserError: if one cannot be read.
    """
    found = []
    for number, name, pixels in pictures.read():
        seen = fitted(pixels, size)
        height, width = seen.shape[:2]
        rain = round(rain_strength(seen), 4)
        image = CalibrationImage(name, pixels_sha256(seen), (height, width), rain)
        found.append(Candidate(number, image, float(seen.mean())))
        progress(len(found), pictures.total, name)
    return found


def pixels_sha256(pixels: Pixels) -> str:
    """SHA-256 of uint8 H x W x 3 pixels, row by row, hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def check_rain(candidates: Sequence[Candidate], source: str, *, force: bool, say: Say) -> None:
    """Refuses too few pictures, and pictures that are nearly all dry.

    Args:
        candidates: all that were looked at.
        source: where they come from.
        force: only ``say`` what would have been refused.
        say: is told.

    Raises:
        UserError: with what was found.
    """
    total, dry = len(candidates), sum(candidate.is_dry for candidate in candidates)
    if not total:
        raise UserError(f"{source}: no pictures")
    faults = []
    if total < LEAST:
        faults.append(f"{total} pictures, and {LEAST} at least are needed")
    if total - dry < LEAST_RAINY * total:
        faults.append(f"{dry} of {total} pictures look dry")
    if not faults:
        return
    if not force:
        raise UserError(
            f"{source}: {'; '.join(faults)}: give more rain (--images, --video, --data or --synthesise), "
            "or --force"
        )
    say(f"{source}: {'; '.join(faults)}; taken nevertheless (--force)")


def choose(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """A spread of rain and brightness: ``count`` of the candidates, or all if there are fewer.

    Dry pictures are left out as long as there are rainy ones. The rest is cut into layers of equal
    number from the least rain to the most, and of each layer every so manieth by brightness is taken,
    the darkest and the brightest included. No chance is involved.

    Returns:
        The chosen, in the order of the set.
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
        # Cut at these places, a layer never has fewer members than are wanted of it.
        members = pool[first * len(pool) // count : last * len(pool) // count]
        chosen += _spread(members, last - first)
    return sorted(chosen, key=lambda c: c.number)


def _spread(members: Sequence[Candidate], count: int) -> Iterator[Candidate]:
    """``count`` of ``members``, evenly spaced by brightness, first and last included."""
    by_brightness = sorted(members, key=lambda c: (c.brightness, c.number))
    places = np.linspace(0, len(by_brightness) - 1, count).round().astype(int)
    return (by_brightness[place] for place in places)
