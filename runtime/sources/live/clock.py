"""Strictly increasing timestamps for a live stream, whatever the camera sends."""

from collections.abc import Callable
from fractions import Fraction

TIME_BASE = Fraction(1, 90_000)
"""Seconds per unit of the returned timestamps: the video time base of RTP and MPEG."""

_JUMP = 10.0
"""Seconds by which the stream's clock may run ahead of the local clock between two frames. Segments and
lost packets cause gaps of seconds; a camera whose clock was set causes gaps of hours."""

_STEP_BACK = Fraction(1)
"""Seconds. A smaller step back means reordered frames; a larger one means that the stream restarted."""


class LiveClock:
    """Assigns each frame a later timestamp than its predecessor.

    Plausible timestamps of the stream are kept, because they are more even than arrival times. If they
    repeat or step back slightly, the frame moves forward by one unit. If they jump back, jump ahead by
    hours or drift by seconds, and after a reconnection, time continues by the local clock.

    Args:
        repaired: called for every timestamp that had to be replaced; not called for a stream without
            timestamps.
    """

    def __init__(self, repaired: Callable[[], None]) -> None:
        self._repaired = repaired
        self.offset = Fraction(0)
        """Seconds to add to the stream's time to get the returned time."""
        self._last: int | None = None
        self._last_in: Fraction | None = None
        self._last_arrival = self._origin = 0.0

    def restart(self) -> None:
        """Prepares for the first frame of a new connection, whose timestamps have a new origin."""
        self._last_in = None

    def time_of(self, pts: Fraction | None, arrival: float) -> int:
        """The timestamp of the next frame, in :data:`TIME_BASE`; that of the first is 0.

        Args:
            pts: its timestamp in the stream, in seconds; ``None`` if it has none.
            arrival: decoding time in seconds of a monotonic clock.
        """
        passed = max(0.0, arrival - self._last_arrival)
        self._last_arrival = arrival
        time = self._from_stream(pts, passed, arrival)
        if time is None:
            time = self._from_arrival(passed, arrival)
            self.offset = time * TIME_BASE - (pts or 0)
        self._last, self._last_in = time, pts
        return time

    def _from_arrival(self, passed: float, arrival: float) -> int:
        """The local time; at half speed while the stream is ahead of it, until both agree."""
        if self._last is None:
            self._origin = arrival
            return 0
        ours = round((arrival - self._origin) / TIME_BASE)
        return ours if ours > self._last else self._last + max(1, round(passed / 2 / TIME_BASE))

    def _from_stream(self, pts: Fraction | None, passed: float, arrival: float) -> int | None:
        """The stream's time, moved forward by one unit if necessary; ``None`` if it is implausible."""
        if pts is None or self._last_in is None or self._last is None:
            return None
        delta, seconds = pts - self._last_in, pts + self.offset
        drift = abs(float(seconds) - (arrival - self._origin))
        if delta < -_STEP_BACK or delta > passed + _JUMP or drift > _JUMP + passed:
            self._repaired()
            return None
        time = round(seconds / TIME_BASE)
        if time <= self._last:
            self._repaired()
            return self._last + 1
        return time
