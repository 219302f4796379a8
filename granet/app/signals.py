"""Ctrl-C, SIGTERM and a closed terminal (SIGHUP): the command cleans up, then dies of the signal.

A shell stops a loop only if its command died of the signal. An exit status of 130 means nothing to it.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

_SHELL = 128
"""A shell's exit status for a command that died of signal N is this plus N."""

_Handler = Callable[[int, FrameType | None], None]


@dataclass
class Interruption:
    """Whether a signal has arrived.

    Attributes:
        number: the first signal; ``None`` if none has arrived.
    """

    number: int | None = None

    @property
    def happened(self) -> bool:
        """Whether a signal has arrived."""
        return self.number is not None

    def is_new(self, number: int) -> bool:
        """Records a signal; ``False`` for a repeated SIGHUP, as a closing terminal sends it twice."""
        repeated = self.happened and number == getattr(signal, "SIGHUP", None)
        self.number = self.number or number
        return not repeated


def status_of(number: int) -> int:
    """The exit status by which a shell calls the death by a signal."""
    return _SHELL + number


def signal_of(status: int) -> int | None:
    """The signal of :func:`status_of`, or of a negative ``Popen.returncode``; ``None`` for another status."""
    number = -status if status < 0 else status - _SHELL
    return number if number in _ending() else None


def ignore_interrupts() -> None:
    """Leaves the signals to the parent of this process.

    A terminal sends Ctrl-C to all processes of a command, and systemd, Slurm and ``timeout`` send SIGTERM so.
    """
    for number in _ending():
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def on_interrupt(stop: Callable[[], None]) -> Iterator[Interruption]:
    """Inside the context, SIGINT, SIGTERM and SIGHUP call ``stop`` instead of ending the process.

    Must be entered in the main thread.
    """
    interruption = Interruption()

    def handle(number: int, frame: FrameType | None) -> None:
        if interruption.is_new(number):
            stop()

    with _handled(_ending(), handle):
        yield interruption


@contextmanager
def raised() -> Iterator[Interruption]:
    """Inside the context, SIGTERM and SIGHUP raise :class:`KeyboardInterrupt`, as SIGINT does.

    So every ``finally`` cleans up. Without effect outside the main thread.
    """
    interruption = Interruption()

    def handle(number: int, frame: FrameType | None) -> None:
        if interruption.is_new(number):
            raise KeyboardInterrupt

    numbers = [number for number in _ending() if number != signal.SIGINT]
    with _handled(numbers if threading.current_thread() is threading.main_thread() else [], handle):
        yield interruption


def die_of_signal(status: int) -> None:
    """Ends the process by the signal that ``status`` stands for; returns if it stands for none.

    It also returns where the kernel ignores the signal: for the first process of a container.
    """
    number = signal_of(status)
    if number is not None:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _ending() -> list[int]:
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    return [int(getattr(signal, name)) for name in names if hasattr(signal, name)]


@contextmanager
def _handled(numbers: list[int], handle: _Handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in numbers}
    if os.name == "posix" and before.get(signal.SIGHUP) is signal.SIG_IGN:
        del before[signal.SIGHUP]  # started by nohup
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
