"""The rain that an int8 or fp8 engine is calibrated on: the user's pictures, or drawings."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from calibration.pictures.sets import DirectoryPictures, PictureSet
from granet.app.console import Notes
from granet.size_rule import Size
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.checks.parity_cases import CAMERA_NOISE
from runtime.media.frame import Pixels

DRAWN = 128
"""Pictures that are drawn where none are named: the fewest that calibration accepts."""

A_STREET = 16
"""Pictures that are drawn of one street, which takes longer to draw than to look at from elsewhere."""

ADVICE = "no --images: drawings are not what a camera sees, and pictures of your own give a better engine"
"""For the user whose engine is calibrated on drawings."""

HEAVINESS = (0.1, 0.6)
"""Of the rain that is drawn, from drizzle to a shower."""


def rain_pictures(images: Path | None, size: Size, notes: Notes) -> PictureSet:
    """The pictures of a directory; drawings of ``size``, (height, width) in pixels, where there is none.

    Raises:
        UserError: if the directory has no pictures.
    """
    return DrawnPictures(size, DRAWN) if images is None else DirectoryPictures(str(images), notes)


class DrawnPictures(PictureSet):
    """Rain on streets that are both drawn, with the noise of a camera; a stand-in for the user's pictures."""

    def __init__(self, size: Size, count: int) -> None:
        """``size``: (height, width) in pixels."""
        self._size = size
        self.source = f"{count} drawings of rain on a street"
        self.total = count

    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """See :meth:`calibration.pictures.sets.PictureSet.read`."""
        for index in range(self.total or 0):
            if wanted is None or index in wanted:
                yield index, f"drawing {index}", self._draw(index)

    def _draw(self, index: int) -> Pixels:
        height, width = self._size
        rng = np.random.default_rng(index)
        rain = render_rain(sample_rain(rng, float(rng.uniform(*HEAVINESS))), height, width)
        rainy = add_rain(street(height, width, time=float(index), seed=index // A_STREET), rain)
        noisy = rainy + rng.normal(0, CAMERA_NOISE, rainy.shape)
        return np.rint(noisy).clip(0, 255).astype(np.uint8)
