"""Real-time pacing: show a file no faster than it plays."""

import time
from collections.abc import Callable

from runtime.media.frame import Frame

_STEP = 0.1
"""Seconds between two looks at whether the run was stopped."""


class Pace:
    """Lets a frame wait until it is due.

    Args:
        live: whether frames arrive in real time; they never wait.
        clock: monotonic clock in seconds.
    """

    def __init__(self, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._live, self._clock = live, clock
        self._start: tuple[float, float] | None = None
        self._released = False

    def ahead(self, frame: Frame) -> float:
        """Seconds until ``frame`` is due, relative to the first frame asked about; 0 or less if it is due."""
        if self._live or frame.pts is None or frame.time_base is None:
            return 0.0
        seconds = float(frame.pts * frame.time_base)
        if self._start is None:
            self._start = (self._clock(), seconds)
        return (seconds - self._start[1]) - (self._clock() - self._start[0])

    def wait(self, frame: Frame) -> None:
        """Waits until ``frame`` is due, which takes as long as a gap in the file; :meth:`release` ends it."""
        left = self.ahead(frame)
        while left > 0 and not self._released:
            time.sleep(min(left, _STEP))
            left -= _STEP

    def release(self) -> None:
        """Lets no frame wait any longer; may be called from a signal handler."""
        self._released = True
