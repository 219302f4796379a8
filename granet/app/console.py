"""Messages and exit statuses of all commands: one line per message on stderr, one status per outcome.

Exit status: 0 success, 1 failure, 2 wrong usage, 3 parity budget exceeded, 130 interrupted, 141 broken
pipe on stdout. Only ``--debug`` shows a traceback. Every message passes through
:func:`granet.app.credentials.mask`, so the credentials of a URL are never shown.
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
"""Every command declares this option; :func:`run_app` evaluates it."""

stderr = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
"""Progress, notes and errors. Results and JSON go to stdout."""


Say = Callable[[str], None]
"""Prints one line about something that the user would not expect."""


class UsageError(UserError):
    """Options that contradict each other or would be ignored; one line. Exit status 2."""

    exit_status = USAGE


class Interrupted(Exception):  # noqa: N818 - not an error
    """A command was interrupted, has finished its output and printed a message. Exit status 130."""


def say(message: str) -> None:
    """Prints ``message`` on stderr as one line; line breaks become spaces."""
    stderr.print(Text(" ".join(mask(message).split())))


class Notes:
    """Prints each note once, also if it applies to every frame."""

    def __init__(self) -> None:
        self._printed: set[str] = set()

    def __call__(self, message: str) -> None:
        """Prints ``note: message`` unless it was printed before."""
        if message not in self._printed:
            self._printed.add(message)
            say(f"note: {message}")


def run_app(app: typer.Typer, arguments: list[str] | None = None) -> int:
    """Runs a command line and turns its outcome into an exit status.

    Args:
        app: made with ``pretty_exceptions_enable=False`` and ``rich_markup_mode=None``.
        arguments: arguments without the program's name; ``sys.argv[1:]`` if ``None``.

    Returns:
        The exit status; unless it is 0, one line on stderr gives the reason.
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
        # Typer turns a broken pipe into a SystemExit; nothing else here raises one.
        # The interpreter must not flush to the broken pipe when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - an internal error must end with one line too
        if isinstance(error, _CLICK_ERROR):
            return _fail(f"error: {_usage(error)}", USAGE, debug)
        hint = "" if debug else "; run again with --debug for the traceback"
        return _fail(f"internal error: {type(error).__name__}: {error}{hint}", FAULT, debug)
    # Newer versions of Typer return this status for a KeyboardInterrupt.
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
