"""Apply EXIF or display-matrix rotation."""

import struct

import cv2
import numpy as np

from runtime.media.frame import Pixels

UPRIGHT = 1
"""EXIF orientation of pixels that need no rotation."""


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Rotates uint8 H x W or H x W x C pixels upright by EXIF orientation (1 to 8); a new array unless 1."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels).astype(np.uint8, copy=False)
    # After the transposition only a flip remains: of columns (1), of rows (0) or of both (-1).
    mirror = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if mirror is None else cv2.flip(pixels, mirror).astype(np.uint8, copy=False)


def orientation_of_display_matrix(matrix: bytes) -> int | None:
    """The EXIF orientation (1 to 8) equivalent to a display matrix.

    Args:
        matrix: nine native 32-bit integers a b u, c d v, x y w; a pixel at (x, y) is shown at
            (a x + c y, b x + d y).

    Returns:
        ``None`` if the rotation is not a multiple of 90 degrees.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    if (b, c) == (0, 0) and a and d:
        return {(True, True): 1, (False, True): 2, (False, False): 3, (True, False): 4}[a > 0, d > 0]
    if (a, d) == (0, 0) and b and c:
        return {(True, True): 5, (True, False): 6, (False, False): 7, (False, True): 8}[b > 0, c > 0]
    return None
