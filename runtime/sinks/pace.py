"""A file is shown no faster than it plays."""

import time
from collections.abc import Callable

from runtime.media.frame import Frame


class Pace:
    """Says how long a frame must still wait.

    Args:
        live: frames come at their own pace; none waits.
        clock: seconds that only go forward.
    """

    def __init__(self, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._live, self._clock = live, clock
        self._start: tuple[float, float] | None = None

    def ahead(self, frame: Frame) -> float:
        """Seconds until ``frame`` is due, counted from the first frame; 0 or less if it is due."""
        if self._live or frame.pts is None or frame.time_base is None:
            return 0.0
        seconds = float(frame.pts * frame.time_base)
        if self._start is None:
            self._start = (self._clock(), seconds)
        return (seconds - self._start[1]) - (self._clock() - self._start[0])
