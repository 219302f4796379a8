"""A frame of a stream: its pixels, index and timestamp."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8 pixels, H x W x 3 (or N x H x W x 3), in [0, 255]; the context states the :data:`Colour` order."""

Colour = Literal["bgr", "rgb"]
"""Order of the three channels. OpenCV uses ``bgr``."""


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    >>> import numpy, runtime
    >>> runtime.Frame(numpy.zeros((48, 64, 3), numpy.uint8), index=0, name="rainy.png").name
    'rainy.png'

    Attributes:
        pixels: uint8 H x W x 3 in the colour order requested from its source.
        index: position in the stream, from 0; dropped frames count.
        pts: presentation timestamp in units of ``time_base``; ``None`` if the stream has no
            timestamps (a directory of pictures).
        time_base: seconds per unit of ``pts``.
        name: file name of a picture, relative to its directory; ``None`` for video.
        fault: why the frame bypassed the engine; empty if the engine succeeded. Sinks mark such a
            frame with a banner.
    """

    pixels: Pixels
    index: int
    pts: int | None = None
    time_base: Fraction | None = None
    name: str | None = None
    fault: str = ""


def repainted(frame: Frame, pixels: Pixels) -> Frame:
    """The frame with other pixels; drops the decoder's native frame, which a comparison would copy."""
    return Frame(pixels, frame.index, frame.pts, frame.time_base, frame.name, frame.fault)
