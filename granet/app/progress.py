"""How far long work has come: a line on a terminal, and silence elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from granet.app.console import stderr


@contextmanager
def progress_line(title: str, total: float | None = None) -> Iterator[Callable[[float, str], None]]:
    """Shows a title, what was done last, how much of how much, and the time it has taken.

    Args:
        title: what is being done; one or two words.
        total: when it is complete, in any unit; ``None`` if that is not known.

    Yields:
        A function to be called with how much is complete and a few words on what was done last. Nothing
        is shown where stderr is no terminal.
    """
    counted = total is None or (total == int(total) and total > 1)
    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    if counted:
        columns.insert(2, MofNCompleteColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task(title, total=total)

        def show(completed: float, last: str = "") -> None:
            bar.update(task, completed=completed, description=f"{title}: {last}" if last else title)

        yield show
