"""Strictly increasing timestamps for decoded frames, as encoders require, and real-time pacing."""

import threading
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av

from granet.app.console import Say
from granet.errors import UserError
from runtime.sources.video.outliers import without_outliers

MOST_TOGETHER = 8
"""Maximum number of frames that wait for the next later timestamp."""

_CORRECTED = "some timestamps of the video do not increase; they are corrected"


class Clock:
    """Assigns each frame of a file a later timestamp than its predecessor.

    Frames without a timestamp or with the same one share the time up to the next later timestamp, at most
    one frame period each. After :data:`MOST_TOGETHER` such frames, and after a step back (joined recordings),
    time continues at the frame rate. A few damaged timestamps far ahead of those before and after them
    (:mod:`runtime.sources.video.outliers`) are replaced like missing ones.

    Args:
        time_base: seconds per unit of the timestamps.
        rate: frames per second, for frames without a timestamp.
        say: called with a note if timestamps are corrected.
    """

    def __init__(self, time_base: Fraction, rate: Fraction, say: Say) -> None:
        self._step = max(1, round(1 / rate / time_base))
        self._say = say
        self._waiting: list[av.VideoFrame] = []
        self._start = 0
        """Time of the first frame that waits."""
        self._stamp: int | None = None
        """Timestamp of the frames that wait, in the file."""
        self._last: int | None = None
        """Time of the last frame that no longer waits."""

    def timed(self, frames: Iterable[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, int]]:
        """The frames, each with its timestamp in units of the time base."""
        try:
            for frame, pts in without_outliers(frames, self._step, lambda: self._say(_CORRECTED)):
                yield from self._add(frame, pts)
        except UserError:
            # The frames before the damage are whole.
            yield from self._release(None)
            raise
        yield from self._release(None)

    def _add(self, frame: av.VideoFrame, pts: int | None) -> Iterator[tuple[av.VideoFrame, int]]:
        if not self._waiting or (pts is not None and pts > self._start):
            yield from self._release(pts)
            self._start, self._stamp, self._waiting = pts or 0, pts, [frame]
            if self._last is not None and self._last >= self._start:
                # More frames have waited than there are units up to this timestamp.
                self._say(_CORRECTED)
                self._start = self._last + 1
            return
        if pts is not None:
            self._say(_CORRECTED)
        if pts is None or pts == self._stamp:
            self._waiting.append(frame)
            if len(self._waiting) > MOST_TOGETHER:
                self._last = self._start
                yield self._waiting.pop(0), self._start
                self._start += self._step
            return
        count = len(self._waiting)
        yield from self._release(None)
        self._start, self._stamp, self._waiting = self._start + count * self._step, pts, [frame]

    def _release(self, end: int | None) -> Iterator[tuple[av.VideoFrame, int]]:
        """The frames that wait, evenly spaced and before ``end``."""
        waiting, self._waiting = self._waiting, []
        step = Fraction(self._step)
        if end is not None and waiting:
            step = min(step, Fraction(end - self._start, len(waiting)))
        for place, frame in enumerate(waiting):
            self._last = self._start + max(place, int(place * step))
            yield frame, self._last


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
