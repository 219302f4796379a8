"""Numbers in environment variables, which anybody may have set to anything."""

import os
from collections.abc import Mapping

from granet.errors import UserError


def whole_number(name: str, default: int, environment: Mapping[str, str] = os.environ) -> int:
    """The whole number of at least 0 in an environment variable.

    Args:
        name: of the variable.
        default: returned if the variable is not set or empty.
        environment: the environment variables.

    Raises:
        UserError: if the variable holds anything else.
    """
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST):
        raise UserError(f"environment variable {name}: expected a whole number, got {text:.40}; unset it")
    return int(text)


_LONGEST = 18
"""Digits of a number that a 64-bit integer holds in any case."""
