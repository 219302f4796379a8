"""Timestamps of a live stream, made such that they only go forward, whatever the camera says."""

from collections.abc import Callable
from fractions import Fraction

TIME_BASE = Fraction(1, 90_000)
"""Seconds per unit of the timestamps given: RTP's and MPEG's for video."""

_JUMP = 10.0
"""Seconds that a stream's time may run ahead of ours from one frame to the next. Segments and lost
packets make gaps of some seconds; a clock that was set makes one of hours."""

_STEP_BACK = Fraction(1)
"""Seconds. Frames that are back by less are out of order; by more, the stream has begun anew."""


class LiveClock:
    """Gives each frame a later timestamp than the one before.

    The stream's own times are kept where they make sense, because they are more even than the times
    of arrival. Where they repeat or step back a little, the frame is moved by one unit. Where they jump
    back, or ahead by hours, or have drifted from ours by seconds, and after a reconnection, time goes
    on by what passed here meanwhile.

    Args:
        repaired: called for every timestamp that is not the stream's, but not for a stream without
            timestamps.
    """

    def __init__(self, repaired: Callable[[], None]) -> None:
        self._repaired = repaired
        self.offset = Fraction(0)
        """Seconds from the time of the stream to the time that is given."""
        self._last: int | None = None
        self._last_in: Fraction | None = None
        self._last_arrival = self._origin = 0.0

    def restart(self) -> None:
        """The next frame is the first of another connection, whose times have another origin."""
        self._last_in = None

    def time_of(self, pts: Fraction | None, arrival: float) -> int:
        """The timestamp of the next frame, in :data:`TIME_BASE`; that of the first is 0.

        Args:
            pts: its time in the stream, in seconds; ``None`` if it has none.
            arrival: when it was decoded, in seconds of a monotonic clock.
        """
        passed = max(0.0, arrival - self._last_arrival)
        self._last_arrival = arrival
        time = self._from_stream(pts, passed, arrival)
        if time is None:
            time = self._from_arrival(passed, arrival)
            self.offset = time * TIME_BASE - (pts or 0)
            self._origin = arrival - float(time * TIME_BASE)
        self._last, self._last_in = time, pts
        return time

    def _from_arrival(self, passed: float, arrival: float) -> int:
        """What our clock says; if the stream ran ahead of it, on by what passed."""
        if self._last is None:
            return 0
        ours = round((arrival - self._origin) / TIME_BASE)
        return ours if ours > self._last else self._last + max(1, round(passed / TIME_BASE))

    def _from_stream(self, pts: Fraction | None, passed: float, arrival: float) -> int | None:
        """The stream's time, moved by one unit if need be; ``None`` if it is worth nothing."""
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
