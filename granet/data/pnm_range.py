"""Values of a PGM or PPM whose largest value is not that of 8 or 16 bits, as cameras with 12 bits have it."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from granet.data.image_chunks import PNM_GAP

_HEAD = 2**16
_HEADER = re.compile(rb"(P[2356])" + (PNM_GAP + rb"\d{1,10}") * 2 + PNM_GAP + rb"(\d{1,5})\s")


def unscaled_maximum(data: bytes) -> int | None:
    """The largest value that a file states, if OpenCV leaves its values as they are; ``None`` otherwise.

    OpenCV scales text of 8 bits alone.
    """
    match = _HEADER.match(data[:_HEAD])
    if match is None:
        return None
    maximum = int(match[2])
    is_text = match[1] in (b"P2", b"P3")
    return None if maximum in (0, 255, 65535) or (is_text and maximum < 255) else maximum


def full_range(pixels: NDArray[Any], maximum: int) -> NDArray[Any]:
    """Scales values of 0 to ``maximum`` to all values of their type, uint8 or uint16."""
    top = np.iinfo(pixels.dtype).max
    scaled = np.minimum(np.arange(top + 1), maximum) * (top / maximum)
    return np.asarray(np.rint(scaled).astype(pixels.dtype)[pixels])
