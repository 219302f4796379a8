"""Timestamps of decoded frames, made such that an encoder takes them."""

import threading
import time
from fractions import Fraction

import av

from granet.app.console import Say


class Clock:
    """Gives every frame a timestamp, and each a later one than the frame before.

    Args:
        time_base: seconds per unit of the timestamps.
        rate: frames a second, for frames without a timestamp; ``None`` counts as 25.
        say: is told if timestamps are moved.
    """

    def __init__(self, time_base: Fraction, rate: Fraction | None, say: Say) -> None:
        self.time_base = time_base
        self._step = max(1, round(1 / (rate or Fraction(25)) / time_base))
        self._last: int | None = None
        self._say = say

    def time_of(self, frame: av.VideoFrame) -> int:
        """The timestamp of the next frame, in units of the time base."""
        pts = frame.pts
        if pts is None:
            pts = 0 if self._last is None else self._last + self._step
        elif self._last is not None and pts <= self._last:
            self._say("timestamps of the video that do not go forward are moved until they do")
            pts = self._last + 1
        self._last = pts
        return pts


class BurstPacer:
    """Holds frames back until they are due, where seconds of a live stream come at once.

    Args:
        closing: ends a wait.
    """

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self._origin: float | None = None

    def wait(self, seconds: Fraction) -> bool:
        """Waits until a frame of that stream time is due; ``False`` if the wait was ended.

        A frame that is late, or further ahead than a segment is long, is due at once, and those after
        it count from there.
        """
        now = time.monotonic()
        ahead = 0.0 if self._origin is None else self._origin + float(seconds) - now
        if self._origin is None or not 0 <= ahead < _LONGEST_SEGMENT:
            self._origin = now - float(seconds)
            return not self._closing.is_set()
        return not self._closing.wait(ahead)


_LONGEST_SEGMENT = 15.0
