"""The orientation that a display matrix of a video means."""

import struct


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
