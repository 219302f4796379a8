"""Apply the orientation of a picture or a video."""

import cv2
import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
"""EXIF orientation of pixels that need no rotation."""


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Rotates uint8 H x W or H x W x C pixels upright by EXIF orientation (1 to 8); a new array unless 1."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels).astype(np.uint8, copy=False)
    # After the transposition only a flip remains: of columns (1), of rows (0) or of both (-1).
    mirror = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if mirror is None else cv2.flip(pixels, mirror).astype(np.uint8, copy=False)
