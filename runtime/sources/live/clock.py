"""Strictly increasing timestamps for a live stream, whatever the camera sends."""

from collections.abc import Callable
from fractions import Fraction

TIME_BASE = Fraction(1, 90_000)
"""Seconds per unit of the returned timestamps: the video time base of RTP and MPEG."""

_JUMP = 10.0
"""Seconds by which the stream's clock may run ahead of the local clock between two frames. Segments and
lost packets cause gaps of seconds; a camera whose clock was set causes gaps of hours."""

TICK = 90
"""Least step between two frames, in :data:`TIME_BASE`: 1 ms, the resolution of Matroska and FLV."""

_STEP_BACK = Fraction(1)
"""Seconds. A smaller step back means reordered frames; a larger one means that the stream restarted."""

_WINDOW_SECONDS, _WINDOW_FRAMES = 2.0, 16
"""Least length of the window over which the speed of the stream's clock is measured: longer than a burst."""

_SLOWEST, _FASTEST = 1 / 8, 8.0
"""Plausible speeds of the stream's clock, in its seconds per local second."""


class LiveClock:
    """Assigns each frame a later timestamp than its predecessor.

    Plausible timestamps of the stream are kept, because they are more even than arrival times. Where they
    repeat or step back, time passes as on the local clock, so constant timestamps do not compress a
    recording. If they jump back, jump ahead by hours, drift by seconds or pass much slower or faster than
    the local clock, and after a reconnection, time continues by the local clock.

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
        self._speed = _Speed()

    def restart(self) -> None:
        """Prepares for the first frame of a new connection, whose timestamps have a new origin."""
        self._last_in = None
        self._speed = _Speed()

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
        return max(ours, self._last + max(TICK, round(passed / 2 / TIME_BASE)))

    def _from_stream(self, pts: Fraction | None, passed: float, arrival: float) -> int | None:
        """The stream's time, moved forward if necessary; ``None`` if it is implausible."""
        if pts is None:
            return None
        was_plausible, plausible = self._speed.plausible, self._speed.add(pts, arrival)
        if self._last_in is None or self._last is None:
            return None
        if not plausible:
            # The offset stays: the clock of the sound may be right.
            self._repaired()
            return self._from_arrival(passed, arrival)
        delta, seconds = pts - self._last_in, pts + self.offset
        drift = abs(float(seconds) - (arrival - self._origin))
        jumps = delta < -_STEP_BACK or delta > passed + _JUMP
        if jumps or drift > _JUMP + passed or not was_plausible:
            self._repaired()
            return None
        time = round(seconds / TIME_BASE)
        if time < self._last + TICK:
            self._repaired()
            return self._last + max(TICK, round(passed / TIME_BASE))
        return time


class _Speed:
    """Measures how fast the stream's clock runs, over windows of :data:`_WINDOW_SECONDS` or more.

    Attributes:
        plausible: whether the speed over the last complete window was plausible.
    """

    def __init__(self) -> None:
        self.plausible = True
        self._start: tuple[Fraction, float] | None = None
        self._frames = 0

    def add(self, pts: Fraction, arrival: float) -> bool:
        """Counts a frame; returns :attr:`plausible`."""
        self._start = self._start or (pts, arrival)
        self._frames += 1
        passed = arrival - self._start[1]
        if passed >= _WINDOW_SECONDS and self._frames > _WINDOW_FRAMES:
            self.plausible = _SLOWEST <= float(pts - self._start[0]) / passed <= _FASTEST
            self._start, self._frames = (pts, arrival), 0
        return self.plausible
