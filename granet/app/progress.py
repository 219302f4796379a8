"""Progress of long work: one contract, and its display on stderr.

Long-running functions accept a :class:`Progress` and call it after each step. Commands pass one from
:func:`terminal_progress`; libraries default to :func:`no_progress`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from granet.app.console import say, shown, stderr
from granet.app.durations import duration_text
from granet.app.verbosity import Verbosity, verbosity

FIRST_LINE, BETWEEN_LINES = 10.0, 30.0
"""Seconds until the first line, and between two lines, if stderr is not a terminal."""

A_SECOND = 1.0
"""The same with ``--verbose``."""


class Progress(Protocol):
    """A callback for each step, from any thread; an exception that it raises stops the work."""

    def __call__(self, done: float, total: float | None, label: str, /) -> None:
        """Reports a step.

        Args:
            done: completed amount; it restarts at 0 when another stage begins.
            total: total amount in the same unit: a number of items, or 1 for a fraction; ``None`` if unknown.
            label: the stage or the last completed item; may be empty.
        """


def no_progress(done: float, total: float | None, label: str, /) -> None:
    """Shows nothing."""


def labelled(progress: Progress, stage: str) -> Progress:
    """``progress`` with ``stage: `` before each label."""
    return lambda done, total, label: progress(done, total, f"{stage}: {label}")


@contextmanager
def terminal_progress(
    title: str, rate: str = "", *, first: float = FIRST_LINE, every: float = BETWEEN_LINES
) -> Iterator[Progress]:
    """Shows progress on stderr inside the context.

    A terminal shows a bar, which disappears at the end. A log gets lines, see :func:`log_progress`. With
    ``--verbose`` both get lines, one each second; with ``--quiet`` neither gets anything.

    Args:
        title: the work in one or two words.
        rate: unit of steps per second, such as ``fps``; empty to hide the rate, and the time left in a log.
        first: seconds until the first line of a log.
        every: seconds between two lines of a log.

    Yields:
        The callback.
    """
    with _shown(title, rate, first, every) as progress:
        yield progress


def _shown(title: str, rate: str, first: float, every: float) -> AbstractContextManager[Progress]:
    if verbosity() is Verbosity.QUIET:
        return nullcontext(no_progress)
    if verbosity() is Verbosity.VERBOSE:
        return _logged(title, A_SECOND, A_SECOND, rate)
    return _bar(title, rate) if stderr.is_terminal else _logged(title, first, every, rate)


@contextmanager
def log_progress(
    title: str, *, first: float = FIRST_LINE, every: float = BETWEEN_LINES
) -> Iterator[Progress]:
    """Shows progress inside the context if stderr is a log, and nothing on a terminal.

    A log gets a line after ``first`` seconds, then one every ``every`` seconds, also while no step is
    completed, and a last line at the end. Short work prints nothing. Args: see :func:`terminal_progress`.
    """
    with nullcontext(no_progress) if stderr.is_terminal else _logged(title, first, every) as progress:
        yield progress


@contextmanager
def _logged(title: str, first: float, every: float, rate: str = "") -> Iterator[Progress]:
    lines = ProgressLines(title, say, first=first, every=every, rate=rate)
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(max(0.01, lines.seconds_left())):
            if _innermost() is lines:
                lines.tick()
            else:
                lines.postpone()

    ticking = threading.Thread(target=tick, name=f"progress of {title}", daemon=True)
    with _entered(lines):
        ticking.start()  # not before: a tick would take these lines for outer ones and postpone them
        try:
            yield lines
            lines.finish()
        finally:
            ended.set()
            ticking.join()


_open: list["ProgressLines | None"] = []
"""Progress of the contexts that are open, the innermost last; ``None`` where nothing is to be printed."""


def _innermost() -> "ProgressLines | None":
    return next(reversed([*_open]), None)  # a copy: other threads change the list


@contextmanager
def _entered(lines: "ProgressLines | None") -> Iterator[None]:
    _open.append(lines)
    try:
        yield
    finally:
        _open.remove(lines)
        outer = _innermost()
        if outer is not None:
            outer.postpone()


@contextmanager
def without_log_progress() -> Iterator[None]:
    """Inside the context no line says that the work around it goes on: a service runs for months."""
    with _entered(None):
        yield


@contextmanager
def progress_line(title: str, total: float | None = None) -> Iterator[Callable[[float, str], None]]:
    """:func:`terminal_progress` with a total that is known from the start.

    Args:
        title: the work in one or two words.
        total: total amount in any unit; ``None`` if unknown.

    Yields:
        A callback with the completed amount and a few words about the last item.
    """
    with terminal_progress(title) as progress:
        yield lambda done, last: progress(done, total, last)


class ProgressLines:
    """Progress as a few lines of a log, however many steps there are, from any thread.

    Args:
        title: the work in one or two words.
        say: prints a line.
        clock: monotonic time in seconds.
        first: seconds until the first line.
        every: seconds between two lines.
        rate: unit of steps per second, for lines with the rate and the time left; empty for lines without.
    """

    def __init__(
        self,
        title: str,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        first: float = FIRST_LINE,
        every: float = BETWEEN_LINES,
        rate: str = "",
    ) -> None:
        self._rate = rate
        self._start: tuple[float, float] | None = None
        """Time and amount of the first step: what an earlier run did has no rate."""
        self._title, self._say, self._clock, self._every = title, say, clock, every
        self._began = clock()
        self._next_at = self._began + first
        self._latest = title
        self._is_new = self._has_printed = False
        self._lock = threading.Lock()

    def __call__(self, done: float, total: float | None, label: str, /) -> None:
        """Prints a line if enough time has passed since the last one; see :class:`Progress`."""
        with self._lock:
            parts = (_described(self._title, label), _amount(done, total), self._pace(done, total))
            self._latest = ", ".join(part for part in parts if part)
            self._is_new = True
        self.tick()

    def _pace(self, done: float, total: float | None) -> str:
        now = self._clock()
        if self._start is None or done < self._start[1]:
            self._start = now, done
        since, before = self._start
        if not self._rate or now <= since or done <= before:
            return ""
        rate = (done - before) / (now - since)
        left = "" if total is None or done > total else f", {duration_text((total - done) / rate)} left"
        return f"{rate:.1f} {self._rate}{left}"

    def seconds_left(self) -> float:
        """Seconds until the next line is due; negative if it is overdue."""
        return self._next_at - self._clock()

    def tick(self) -> None:
        """Prints a line if one is due; it says so if no step was completed since the last one."""
        with self._lock:
            now = self._clock()
            if now < self._next_at:
                return
            self._next_at = now + self._every
            self._has_printed = True
            self._print(now)

    def postpone(self) -> None:
        """Waits again from now on, because lines of other work were printed."""
        with self._lock:
            self._next_at = self._clock() + self._every

    def finish(self) -> None:
        """Prints the final progress if lines were printed and the last one did not show it."""
        with self._lock:
            if self._has_printed and self._is_new:
                self._print(self._clock())

    def _print(self, now: float) -> None:
        still = "" if self._is_new else f"still working after {now - self._began:.0f} s"
        self._is_new = False
        self._say(", ".join(part for part in (self._latest, still) if part))


def _described(title: str, label: str) -> str:
    return f"{title}: {label}" if label else title


def _amount(done: float, total: float | None) -> str:
    """``12/40`` for items, ``30%`` for a fraction, ``12`` if the total is unknown."""
    if total is None:
        return f"{done:.0f}"
    if total > 1:
        return f"{done:.0f}/{total:.0f}"
    return f"{done / total:.0%}" if total > 0 else ""


class _AmountColumn(ProgressColumn):
    """The completed amount."""

    def render(self, task: Task) -> Text:
        """See :class:`rich.progress.ProgressColumn`."""
        return Text(_amount(task.completed, task.total))


class _RateColumn(ProgressColumn):
    """Steps per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """See :class:`rich.progress.ProgressColumn`."""
        rate = task.finished_speed or task.speed
        return Text(f"- {self._unit}" if rate is None else f"{rate:.1f} {self._unit}")


@contextmanager
def _bar(title: str, rate: str) -> Iterator[Progress]:
    # File names may look like markup.
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [_AmountColumn(), *([_RateColumn(rate)] if rate else [])]
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    # Rich would print on stderr what is written to stdout meanwhile.
    with Bars(*columns, console=stderr, transient=True, redirect_stdout=False) as bars:
        task = bars.add_task(shown(title), total=None)

        def show(done: float, total: float | None, label: str, /) -> None:
            bars.update(task, completed=done, total=total, description=shown(_described(title, label)))

        yield show
