"""The variable of OpenCV that limits the pixels of a picture."""

import re

PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"

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
