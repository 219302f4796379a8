"""How far a parity check has come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from granet.app.progress import progress_line
from runtime.checks.parity import CaseParity


@contextmanager
def case_progress(title: str) -> Iterator[Callable[[CaseParity], None]]:
    """Counts the cases of a parity check and names the last.

    Yields:
        A function to be called after each case.
    """
    with progress_line(title) as show:
        done = 0

        def advance(case: CaseParity) -> None:
            nonlocal done
            done += 1
            show(done, f"{case.name} {case.psnr_db:.1f} dB")

        yield advance
