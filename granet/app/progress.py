"""Progress of long work: one contract, and its display on stderr.

Long-running functions accept a :class:`Progress` and call it after each step. Commands pass one from
:func:`terminal_progress`; libraries default to :func:`no_progress`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from granet.app.console import say, stderr
from granet.app.credentials import mask

FIRST_LINE, MOST_BETWEEN = 10.0, 300.0
"""Seconds until the first line, and the longest time between two lines, if stderr is not a terminal."""


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
def terminal_progress(title: str, rate: str = "") -> Iterator[Progress]:
    """Shows progress on stderr inside the context.

    A terminal shows a bar, which disappears at the end. A log gets a line after :data:`FIRST_LINE` seconds,
    further lines at growing intervals, and a last line at the end. Short work prints nothing in a log.

    Args:
        title: the work in one or two words.
        rate: unit of steps per second, such as ``fps``; empty to hide the rate.

    Yields:
        The callback.
    """
    if stderr.is_terminal:
        with _bar(title, rate) as progress:
            yield progress
    else:
        lines = ProgressLines(title, say)
        yield lines
        lines.finish()


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
    """Progress as a few lines of a log, however many steps there are.

    Args:
        title: the work in one or two words.
        say: prints a line.
        clock: monotonic time in seconds.
    """

    def __init__(
        self, title: str, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title, self._say, self._clock = title, say, clock
        self._wait = FIRST_LINE
        self._next_at = clock() + FIRST_LINE
        self._pending = ""
        self._has_printed = False

    def __call__(self, done: float, total: float | None, label: str, /) -> None:
        """Prints a line if enough time has passed since the last one; see :class:`Progress`."""
        parts = (_described(self._title, label), _amount(done, total))
        self._pending = ", ".join(part for part in parts if part)
        now = self._clock()
        if now >= self._next_at:
            self._wait = min(MOST_BETWEEN, 2 * self._wait) if self._has_printed else FIRST_LINE
            self._next_at = now + self._wait
            self._has_printed = True
            self._print_pending()

    def finish(self) -> None:
        """Prints the final progress if lines were printed and the last one did not show it."""
        if self._has_printed and self._pending:
            self._print_pending()

    def _print_pending(self) -> None:
        self._say(self._pending)
        self._pending = ""


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
    with Bars(*columns, console=stderr, transient=True) as bars:
        task = bars.add_task(title, total=None)

        def show(done: float, total: float | None, label: str, /) -> None:
            description = mask(" ".join(_described(title, label).split()))
            bars.update(task, completed=done, total=total, description=description)

        yield show
