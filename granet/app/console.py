"""What all commands tell people: one line a message, on stderr, and one exit status a kind of end.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 parity missed, 130 interrupted, 141 the reader of
stdout went away. ``--debug`` adds the traceback; nothing else does. Whatever is printed passes
:func:`granet.app.credentials.mask`, so that no credentials of a URL are ever shown.
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from granet.app.credentials import mask
from granet.errors import UserError

INTERRUPTED = 130
BROKEN_PIPE = 141
USAGE = 2
FAULT = 1

# Typer has its own copy of click from 0.16 on and the click package before: this is the base class
# of a usage error in either.
_CLICK_ERROR = typer.BadParameter.__mro__[2]

DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
"""Every command declares it; :func:`run_app` is what reads it."""

stderr = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
"""Progress, notes and errors. Results and JSON go to stdout."""


Say = Callable[[str], None]
"""Tells the user, in one line, what happens to their input that they would not expect."""


class UsageError(UserError):
    """Options that make no sense together; one line. Exit status 2."""

    exit_status = USAGE


class Interrupted(Exception):  # noqa: N818 - it is no error
    """A command was interrupted, finished its output and has said so. Exit status 130."""


def say(message: str) -> None:
    """Prints one line on stderr, whatever line breaks ``message`` has."""
    stderr.print(Text(" ".join(mask(message).split())))


class Notes:
    """Prints each note once: what happens to every frame is told for the first."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, message: str) -> None:
        """Prints ``note: message`` unless it was printed before."""
        if message not in self._told:
            self._told.add(message)
            say(f"note: {message}")


def run_app(app: typer.Typer, arguments: list[str] | None = None) -> int:
    """Runs a command line and turns its end into an exit status.

    Args:
        app: made with ``pretty_exceptions_enable=False`` and ``rich_markup_mode=None``.
        arguments: without the program's name; ``sys.argv[1:]`` if ``None``.

    Returns:
        The exit status; one line on stderr says why unless it is 0.
    """
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        status = app(args=given, standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED, debug=False)
    except typer.Exit as end:
        status = end.exit_code
    except Interrupted:
        return INTERRUPTED
    except UserError as error:
        return _fail(f"error: {error}", error.exit_status, debug)
    except (BrokenPipeError, SystemExit):
        # Typer makes a SystemExit of a broken pipe, and of nothing else here.
        # Nothing may be flushed to the dead pipe while the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last line of defence: a fault ends with one line too
        if isinstance(error, _CLICK_ERROR):
            return _fail(f"error: {_usage(error)}", USAGE, debug)
        hint = "" if debug else "; run again with --debug for the traceback"
        return _fail(f"internal error: {type(error).__name__}: {error}{hint}", FAULT, debug)
    # Newer versions of Typer make this number of a KeyboardInterrupt.
    if status == INTERRUPTED:
        return _fail("interrupted", INTERRUPTED, debug=False)
    return status if isinstance(status, int) else 0


def _usage(error: Exception) -> str:
    format_message = getattr(error, "format_message", None)
    message = str(format_message() if callable(format_message) else error).rstrip(".")
    return f"{message} (--help lists the options)"


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        stderr.print(Text(mask(traceback.format_exc()).rstrip()))
    say(message)
    return status
