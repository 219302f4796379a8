"""Turning frames upright: what a camera held sideways writes as a tag becomes the order of the pixels."""

import struct

import cv2
import numpy as np

from runtime.media.frame import Pixels

UPRIGHT = 1
"""The EXIF orientation of pixels that need no turning."""


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turns H x W or H x W x C pixels of an EXIF orientation (1 to 8) upright; a new array unless 1."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels).astype(np.uint8, copy=False)
    # What is left after the transposition is a mirroring: of columns (1), of rows (0) or of both (-1).
    mirror = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if mirror is None else cv2.flip(pixels, mirror).astype(np.uint8, copy=False)


def orientation_of_display_matrix(matrix: bytes) -> int | None:
    """The EXIF orientation (1 to 8) that says the same as a display matrix.

    Args:
        matrix: nine native 32 bit integers a b u, c d v, x y w; a pixel at (x, y) is shown at
            (a x + c y, b x + d y).

    Returns:
        ``None`` if it turns by anything but right angles.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    if (b, c) == (0, 0) and a and d:
        return {(True, True): 1, (False, True): 2, (False, False): 3, (True, False): 4}[a > 0, d > 0]
    if (a, d) == (0, 0) and b and c:
        return {(True, True): 5, (True, False): 6, (False, False): 7, (False, True): 8}[b > 0, c > 0]
    return None
