"""Strictly increasing timestamps for decoded frames, as encoders require, and real-time pacing."""

import threading
import time
from fractions import Fraction

import av

from granet.app.console import Say


class Clock:
    """Assigns each frame a later timestamp than its predecessor.

    Args:
        time_base: seconds per unit of the timestamps.
        rate: frames per second, for frames without a timestamp; ``None`` means 25.
        say: called with a note if timestamps are corrected.
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
            self._say("some timestamps of the video do not increase; they are corrected")
            pts = self._last + 1
        self._last = pts
        return pts


class BurstPacer:
    """Delays frames until they are due, for live streams that arrive in bursts of seconds.

    Args:
        closing: when set, ends a wait.
    """

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self._origin: float | None = None

    def wait(self, seconds: Fraction) -> bool:
        """Waits until the frame at stream time ``seconds`` is due; ``False`` if the wait was cancelled.

        A frame that is late, or ahead by more than the length of a segment, is due at once and becomes the
        new origin.
        """
        now = time.monotonic()
        ahead = 0.0 if self._origin is None else self._origin + float(seconds) - now
        if self._origin is None or not 0 <= ahead < _LONGEST_SEGMENT:
            self._origin = now - float(seconds)
            return not self._closing.is_set()
        return not self._closing.wait(ahead)


_LONGEST_SEGMENT = 15.0
