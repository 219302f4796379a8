"""Ctrl-C and SIGTERM as a request to stop: the command finishes its current step, then ends."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interruption:
    """Whether a signal has arrived."""

    happened: bool = False


@contextmanager
def on_interrupt(stop: Callable[[], None]) -> Iterator[Interruption]:
    """Inside the context, SIGINT and SIGTERM call ``stop`` instead of ending the process.

    Must be entered in the main thread.
    """
    interruption = Interruption()

    def handle(number: int, frame: FrameType | None) -> None:
        interruption.happened = True
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
