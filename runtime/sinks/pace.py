"""Real-time pacing: show a file no faster than it plays."""

import time
from collections.abc import Callable

from runtime.media.frame import Frame


class Pace:
    """Computes how long a frame must wait until it is due.

    Args:
        live: whether frames arrive in real time; they never wait.
        clock: monotonic clock in seconds.
    """

    def __init__(self, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._live, self._clock = live, clock
        self._start: tuple[float, float] | None = None

    def ahead(self, frame: Frame) -> float:
        """Seconds until ``frame`` is due, relative to the first frame asked about; 0 or less if it is due."""
        if self._live or frame.pts is None or frame.time_base is None:
            return 0.0
        seconds = float(frame.pts * frame.time_base)
        if self._start is None:
            self._start = (self._clock(), seconds)
        return (seconds - self._start[1]) - (self._clock() - self._start[0])
