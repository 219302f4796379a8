"""Messages and exit statuses of all commands: one line per message on stderr, one status per outcome.

Exit status: 0 success, 1 failure, 2 wrong usage, 3 parity budget exceeded, 141 broken pipe on stdout. A
command that is interrupted dies of the signal; a shell calls that 130 (Ctrl-C) or 143 (SIGTERM). Only
``--debug`` shows a traceback. Every text for stderr passes through :data:`FILTERS`, so the credentials of a
URL are never shown and no escape sequence reaches the terminal. Messages are best effort: nothing waits for
a reader of stderr (:mod:`granet.app.stderr_writer`).
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import IO, Annotated, cast

import typer
from rich.console import Console
from rich.text import Text

from granet.app.credentials import conceal_addresses, mask
from granet.app.home import ensure_home
from granet.app.out_of_memory import out_of_memory
from granet.app.outside_text import let_any_text_out, printable
from granet.app.signals import raised, status_of
from granet.app.stderr_writer import StderrWriter
from granet.app.usage_words import plain
from granet.app.verbosity import Verbosity, verbosity
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

FILTERS: tuple[Callable[[str], str], ...] = (mask, printable)
"""Functions that every line for stderr passes through, in this order."""

_writer = StderrWriter()
stderr = Console(file=cast("IO[str]", _writer), highlight=False, markup=False, emoji=False, soft_wrap=True)
"""Progress, notes and errors; texts from outside must pass :func:`shown`. Results and JSON go to stdout."""


Say = Callable[[str], None]
"""Prints one line about something that the user would not expect."""


class UsageError(UserError):
    """Options that contradict each other or would be ignored; one line. Exit status 2."""

    exit_status = USAGE


class Interrupted(Exception):  # noqa: N818 - not an error
    """A command was interrupted, has ended its output and printed a message.

    Args:
        number: the signal; ``None`` if another process received it.
    """

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self.status = INTERRUPTED if number is None else status_of(number)


def shown(text: str) -> str:
    """``text`` as one line that may be shown: without credentials and without control characters."""
    for apply in FILTERS:
        text = apply(text)
    return text


class Urgent(str):
    """A message that ``--quiet`` does not hide: an error, also one that does not end the run."""

    __slots__ = ()


def say(message: str) -> None:
    """Prints ``message`` on stderr as one line; line breaks become spaces. It does not wait for a reader.

    With ``--quiet`` only an :class:`Urgent` message is printed.
    """
    if verbosity() is Verbosity.QUIET and not isinstance(message, Urgent):
        return
    with _writer.message():
        stderr.print(Text(shown(message)))


def detail(message: str) -> None:
    """Prints ``message`` like :func:`say`, but only with ``--verbose``."""
    if verbosity() is Verbosity.VERBOSE:
        say(message)


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

    :mod:`granet.app.program` ends the process by it.

    Args:
        app: made with ``pretty_exceptions_enable=False`` and ``rich_markup_mode=None``.
        arguments: arguments without the program's name; ``sys.argv[1:]`` if ``None``.

    Returns:
        The exit status; unless it is 0, one line on stderr gives the reason.
    """
    given = sys.argv[1:] if arguments is None else arguments
    let_any_text_out()
    ensure_home()
    # An option and its value may be one argument: --input=ADDRESS.
    conceal_addresses(text for each in given for text in (each, each.partition("=")[2]))
    try:
        with raised() as interruption:
            status = _outcome(app, given, debug="--debug" in given)
    finally:
        _writer.finish()
    if status == INTERRUPTED and interruption.number is not None:
        return status_of(interruption.number)
    return status


def _outcome(app: typer.Typer, given: list[str], *, debug: bool) -> int:
    try:
        status = _status(app, given)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED, debug=False)
    except Interrupted as interrupted:
        return interrupted.status
    except UserError as error:
        return _fail(f"error: {error}", error.exit_status, debug)
    except (BrokenPipeError, SystemExit) as end:
        # Typer turns a broken pipe into a SystemExit, and ends so after printing a completion script.
        if isinstance(end, SystemExit) and end.code in (None, 0):
            return 0
        # The interpreter must not flush to the broken pipe when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - an internal error must end with one line too
        return _failed_with(error, debug=debug)
    # Newer versions of Typer return this status for a KeyboardInterrupt.
    if status == INTERRUPTED:
        return _fail("interrupted", INTERRUPTED, debug=False)
    return status


def _failed_with(error: Exception, *, debug: bool) -> int:
    """Tells an error that no command expects: a wrong option, a limit of the system, or a fault of ours."""
    if isinstance(error, _CLICK_ERROR):
        return _fail(f"error: {_usage(error)}", USAGE, debug)
    lacking = out_of_memory(error)
    if lacking is not None:
        return _fail(f"error: {lacking}", FAULT, debug)
    if isinstance(error, OSError) and error.strerror:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _fail(f"error: {place}{error.strerror}", FAULT, debug)
    hint = "" if debug else "; run again with --debug for the traceback"
    return _fail(f"internal error: {type(error).__name__}: {error}{hint}", FAULT, debug)


def _status(app: typer.Typer, given: list[str]) -> int:
    try:
        status = app(args=given, standalone_mode=False)
    except typer.Exit as end:
        status = end.exit_code
    return status if isinstance(status, int) else 0


def _usage(error: Exception) -> str:
    format_message = getattr(error, "format_message", None)
    message = str(format_message() if callable(format_message) else error).rstrip(".")
    return f"{plain(message)} (--help lists the options)"


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        for line in traceback.format_exc().splitlines():
            indent = line[: len(line) - len(line.lstrip())]
            with _writer.message():
                stderr.print(Text(indent + shown(line)))
    say(Urgent(message))
    return status
