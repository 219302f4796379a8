"""Frame sizes as a user types them."""

import re

import typer

from granet.size_rule import Size

DEFAULT_SIZE: Size = (480, 640)
"""(height, width): what cameras give unless asked for more."""


def parse_size(text: str) -> Size:
    """``480x320`` -> (320, 480), height first."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size: write width x height in pixels, as in 480x320")
    return int(match[2]), int(match[1])
