"""Parsers of option values that several commands share."""

import re
from typing import Annotated

import typer

from granet.app.console import UsageError

SIZE = r"([1-9][0-9]{0,4})[xX]([1-9][0-9]{0,4})"
"""``WIDTHxHEIGHT`` as a regular expression with a group for each."""

CAMERA_SIZE = (480, 640)
"""Default (height, width) of cameras, and so the default size of a static model."""


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """Parses ``480x320`` to (320, 480): (height, width) in pixels.

    Args:
        text: the value of the option.
        option: name of the option, for the error.

    Raises:
        UsageError: if ``text`` is not a size.
    """
    match = re.fullmatch(SIZE, text)
    if match is None:
        raise UsageError(f"{option} {text}: not a size: write WIDTHxHEIGHT in pixels, as in 480x320")
    return int(match[2]), int(match[1])


Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="OLD=NEW",
        help="Rename weights of the checkpoint that begin with OLD; * stands for one part of a name. "
        "Repeat for more (default: names as they are).",
    ),
]
"""Each value as given, ``None`` if there is none; :func:`granet.weights.renames.parse_renames` reads them."""
