"""Options that several commands have: what their texts mean."""

import re

from granet.app.console import UsageError

SIZE = r"([1-9][0-9]{0,4})[xX]([1-9][0-9]{0,4})"
"""``WIDTHxHEIGHT`` as a regular expression with a group for each."""

CAMERA_SIZE = (480, 640)
"""(height, width) that cameras give unless asked for more: what a static model is made for by default."""


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """``480x320`` -> (320, 480), height first, in pixels.

    Args:
        text: as a user types it.
        option: the option whose value it is, for the error.

    Raises:
        UsageError: if it is not a size.
    """
    match = re.fullmatch(SIZE, text)
    if match is None:
        raise UsageError(f"{option} {text}: not a size: write WIDTHxHEIGHT in pixels, as in 480x320")
    return int(match[2]), int(match[1])
