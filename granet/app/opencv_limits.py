"""The variables of OpenCV that limit pictures; a value that is no size ends a process that imports OpenCV.

This module is loaded before OpenCV, so it imports only the standard library.
"""

import re
from collections.abc import Mapping

PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"

_NAMES = (
    PIXELS, "OPENCV_IO_MAX_IMAGE_WIDTH", "OPENCV_IO_MAX_IMAGE_HEIGHT", "OPENCV_IO_MAX_IMAGE_PARAMS",
    "OPENCV_IMGCODECS_WEBP_MAX_FILE_SIZE", "OPENCV_IMGCODECS_AVIF_MAX_FILE_SIZE",
)  # fmt: skip
_SIZE = re.compile(r"([0-9]+)(KB|Kb|kb|MB|Mb|mb)?")
_UNITS = {"": 1, "kb": 2**10, "mb": 2**20}
_MOST = 2**64


def size_of(text: str) -> int | None:
    """The number that OpenCV reads in a variable; ``None`` if there is none, on which it ends the process.

    >>> size_of("2MB"), size_of("1e6")
    (2097152, None)
    """
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) >= _MOST:
        return None
    return int(match[1]) * _UNITS[(match[2] or "").lower()]


def wrong_limit(environment: Mapping[str, str]) -> str | None:
    """What is wrong with the variables, and what to do; ``None`` if nothing is."""
    for name in _NAMES:
        if name in environment and size_of(environment[name]) is None:
            return f"the variable {name} must be a whole number, such as 300000000: set it so, or unset it"
    return None
