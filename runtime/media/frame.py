"""A frame of a stream: its pixels and where it stands in time."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8 pixels, H x W x 3 (or N x H x W x 3), in [0, 255], in a stated :data:`Colour` order."""

Colour = Literal["bgr", "rgb"]
"""Order of the three channels. OpenCV's is ``bgr``."""


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    Attributes:
        pixels: uint8 H x W x 3 in the colour order its source was opened with.
        index: position in the stream, from 0, dropped frames counted.
        pts: presentation timestamp in units of ``time_base``; ``None`` where there is no time
            (a directory of pictures).
        time_base: seconds per unit of ``pts``.
        name: file name of a picture, relative to the directory it came from; ``None`` for video.
        fault: why these are the pixels of the source and not the engine's, which failed on them;
            empty if nothing failed. What shows the frame draws a mark on it.
    """

    pixels: Pixels
    index: int
    pts: int | None = None
    time_base: Fraction | None = None
    name: str | None = None
    fault: str = ""


def repainted(frame: Frame, pixels: Pixels) -> Frame:
    """The frame with other pixels, and so without the decoder's picture, which a comparison would copy."""
    return Frame(pixels, frame.index, frame.pts, frame.time_base, frame.name, frame.fault)
