"""Runs a command as a program of its own: safe standard streams, masked errors of Python, an exit status."""

import io
import os
import stat
import sys
import threading
import traceback
import warnings
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import IO, NoReturn, TextIO

import typer

from granet.app.console import run_app, say
from granet.app.progress import BETWEEN_LINES, log_progress
from granet.app.results import ClosedStdout, StdoutFile
from granet.app.signals import die_of_signal
from granet.errors import UserError


def run_program(app: typer.Typer, arguments: list[str] | None = None, *, silent: bool = False) -> NoReturn:
    """Runs the command line of this process and ends it.

    Args:
        app: see :func:`granet.app.console.run_app`.
        arguments: the same.
        silent: whether no line says every now and then that the work goes on.

    Raises:
        SystemExit: with the status of :func:`granet.app.console.run_app`. A command that was interrupted
            dies of the signal instead.
    """
    end_process(run_status(app, arguments, silent=silent))


def end_process(status: int) -> NoReturn:
    """Ends the process with the status of :func:`run_status`, or by the signal that interrupted it."""
    die_of_signal(status)
    raise SystemExit(status)


def run_status(app: typer.Typer, arguments: list[str] | None = None, *, silent: bool = False) -> int:
    """Same as :func:`run_program`, but returns the status, for a program that ends in a way of its own."""
    prepare_streams()
    mask_unhandled(debug="--debug" in (sys.argv if arguments is None else arguments))
    # For whatever has no progress of its own, such as loading a model.
    with nullcontext() if silent else log_progress("", first=BETWEEN_LINES, every=BETWEEN_LINES):
        status = run_app(app, arguments)
    # An interrupted command has printed its result, and the signal would lose what is not written yet.
    with suppress(OSError, ValueError, UserError):
        sys.stdout.flush()
    _settle(sys.stderr)
    return status


def prepare_streams() -> None:
    """Makes the standard streams safe.

    - A descriptor of 0 to 2 that was closed (``>&-``) leads nowhere. Otherwise the next file that is opened,
      perhaps a recording, would get its number, and messages of libraries would be written into it.
    - An error of stdout is a :class:`UserError`; see :mod:`granet.app.results`.
    - A pipe or a terminal on stderr does not block: not only our own messages, those of libraries too.
    """
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None and not _is_open(number):
            _open_nowhere(number)
    sys.stdout = ClosedStdout() if sys.stdout is None else _checked(sys.stdout)
    _do_not_block(2)


def _checked(stream: TextIO) -> io.TextIOWrapper:
    """A new stream to the descriptor of ``stream``, whose errors are those of the user."""
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(StdoutFile(stream.fileno())),
        encoding=stream.encoding,
        errors="backslashreplace",  # names that are not UTF-8, and terminals that are not
        line_buffering=stream.isatty(),
    )


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _open_nowhere(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)


def _do_not_block(descriptor: int) -> None:
    """Replaces a pipe or a terminal by a description of the same that never blocks.

    Setting O_NONBLOCK on the old one would also set it for other programs: the shell, and whatever else has
    the same terminal. Where the system has no /proc, or does not allow it, everything stays as it is: our own
    messages do not wait in any case.
    """
    with suppress(OSError):
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISFIFO(mode) or os.isatty(descriptor)):
            return
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            os.dup2(own, descriptor)
        finally:
            os.close(own)


def _settle(stream: IO[str] | None) -> None:
    """Keeps what a stream could not write from failing again at the exit, which would change the status."""
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            _open_nowhere(stream.fileno())


def mask_unhandled(*, debug: bool) -> None:
    """Masks secrets in what Python itself prints on stderr: unhandled errors, in threads too, and warnings.

    The dumps of :mod:`faulthandler` name files and functions but no values, so they need no mask.

    Args:
        debug: whether tracebacks are printed.
    """

    def report(where: str, error: BaseException | None, trace: TracebackType | None) -> None:
        if debug and error is not None:
            for line in traceback.format_exception(type(error), error, trace):
                for part in line.splitlines():
                    say(part)
        say(f"internal error{where}: {type(error).__name__}: {error}")

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread is not None else "unknown"
            report(f" in thread {name}", args.exc_value, args.exc_traceback)

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        report(f": {args.err_msg or 'Exception ignored'}", args.exc_value, args.exc_traceback)

    def unhandled(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        report("", error, trace)

    threading.excepthook, sys.unraisablehook, sys.excepthook = in_thread, unraisable, unhandled
    warnings.showwarning = _warned


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if file is None:
        say(f"warning: {message} ({category.__name__}, {filename}:{lineno})")
    else:
        file.write(warnings.formatwarning(message, category, filename, lineno, line))
