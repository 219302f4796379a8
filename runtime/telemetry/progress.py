"""A progress bar on a terminal, and silence elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from granet.app.console import stderr


class _RateColumn(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        """See :class:`rich.progress.ProgressColumn`."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:.1f} fps" if rate is not None else "- fps")


@contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows frames written, frames a second and, if the total is known, the time left.

    Args:
        total: frames; ``None`` if that is not known.

    Yields:
        A function to be called with the number of frames written.
    """
    if not stderr.is_terminal:
        yield lambda written: None
        return
    columns = [TextColumn("frames"), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task("frames", total=total)
        yield lambda written: progress.update(task, completed=written)
