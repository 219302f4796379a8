"""How much a command prints on stderr: ``-q`` only errors, ``-v`` also details.

Results and JSON on stdout do not depend on it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated

import typer


class Verbosity(IntEnum):
    """Levels of output on stderr."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print versions, details and a line of progress each second.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]

_chosen = Verbosity.NORMAL


def verbosity() -> Verbosity:
    """How much this run of a command prints."""
    return _chosen


@contextmanager
def chosen(wanted: Verbosity) -> Iterator[None]:
    """Inside the context a command prints as much as ``wanted``."""
    global _chosen
    before, _chosen = _chosen, wanted
    try:
        yield
    finally:
        _chosen = before
