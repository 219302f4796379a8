"""How long work reports how far it is: one contract, and one way to show it on stderr.

Whatever takes long takes a :class:`Progress` and calls it after each step. Commands pass one from
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
"""Seconds until the first line where stderr is not a terminal, and the most between two of them."""


class Progress(Protocol):
    """Called after each step, from any thread; an exception that it raises ends the work."""

    def __call__(self, done: float, total: float | None, label: str, /) -> None:
        """Reports a step.

        Args:
            done: how much is complete; it starts anew where a further stage begins.
            total: when it is all complete, in the same unit: a number of items, or 1 for a share;
                ``None`` if that is not known.
            label: the stage or the item that was done last, or nothing.
        """


def no_progress(done: float, total: float | None, label: str, /) -> None:
    """Shows nothing."""


def labelled(progress: Progress, stage: str) -> Progress:
    """``progress`` with ``stage: `` before each label."""
    return lambda done, total, label: progress(done, total, f"{stage}: {label}")


@contextmanager
def terminal_progress(title: str, rate: str = "") -> Iterator[Progress]:
    """Shows progress on stderr while it lasts.

    On a terminal it is a bar, which is gone at the end. Elsewhere, as in a log, it is a line after
    :data:`FIRST_LINE` seconds, further ones after ever longer times, and one at the end: short work
    says nothing.

    Args:
        title: what is being done; one or two words.
        rate: unit of steps a second, to show it, as ``fps``.

    Yields:
        What to call.
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
    """:func:`terminal_progress` of a total that is known from the start.

    Args:
        title: what is being done; one or two words.
        total: when it is complete, in any unit; ``None`` if that is not known.

    Yields:
        A function to be called with how much is complete and a few words on what was done last.
    """
    with terminal_progress(title) as progress:
        yield lambda done, last: progress(done, total, last)


class ProgressLines:
    """Progress as lines of a log: few of them, whatever the number of steps.

    Args:
        title: what is being done.
        say: prints a line.
        clock: seconds that only go forward.
    """

    def __init__(
        self, title: str, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title, self._say, self._clock = title, say, clock
        self._wait = FIRST_LINE
        self._next_at = clock() + FIRST_LINE
        self._unsaid = ""
        self._has_spoken = False

    def __call__(self, done: float, total: float | None, label: str, /) -> None:
        """Prints a line if the last one was long ago; see :class:`Progress`."""
        parts = (_described(self._title, label), _amount(done, total))
        self._unsaid = ", ".join(part for part in parts if part)
        now = self._clock()
        if now >= self._next_at:
            self._wait = min(MOST_BETWEEN, 2 * self._wait) if self._has_spoken else FIRST_LINE
            self._next_at = now + self._wait
            self._has_spoken = True
            self._say_it()

    def finish(self) -> None:
        """Prints how far it came, if lines were printed and this was not in the last of them."""
        if self._has_spoken and self._unsaid:
            self._say_it()

    def _say_it(self) -> None:
        self._say(self._unsaid)
        self._unsaid = ""


def _described(title: str, label: str) -> str:
    return f"{title}: {label}" if label else title


def _amount(done: float, total: float | None) -> str:
    """``12/40`` for items, ``30%`` for a share, ``12`` if the total is not known."""
    if total is None:
        return f"{done:.0f}"
    if total > 1:
        return f"{done:.0f}/{total:.0f}"
    return f"{done / total:.0%}" if total > 0 else ""


class _AmountColumn(ProgressColumn):
    """How much is done."""

    def render(self, task: Task) -> Text:
        """See :class:`rich.progress.ProgressColumn`."""
        return Text(_amount(task.completed, task.total))


class _RateColumn(ProgressColumn):
    """Steps a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """See :class:`rich.progress.ProgressColumn`."""
        rate = task.finished_speed or task.speed
        return Text(f"- {self._unit}" if rate is None else f"{rate:.1f} {self._unit}")


@contextmanager
def _bar(title: str, rate: str) -> Iterator[Progress]:
    # Names of files are not markup.
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [_AmountColumn(), *([_RateColumn(rate)] if rate else [])]
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    with Bars(*columns, console=stderr, transient=True) as bars:
        task = bars.add_task(title, total=None)

        def show(done: float, total: float | None, label: str, /) -> None:
            description = mask(" ".join(_described(title, label).split()))
            bars.update(task, completed=done, total=total, description=description)

        yield show
