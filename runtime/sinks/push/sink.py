"""Pushes the picture to an RTSP or RTMP server, and comes back when the server does."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from urllib.parse import urlsplit

from granet.app.console import Say
from granet.app.credentials import mask
from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.pace import Pace
from runtime.sinks.push.connection import PushConnection
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from runtime.views.letterbox import letterboxed

RETRY = (1.0, 10.0)
"""Seconds until a lost server is tried again: the first wait, which doubles, and the longest."""

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps")


def is_push(text: str) -> bool:
    """Whether ``text`` is an address that can be pushed to."""
    return "://" in text and urlsplit(text).scheme.lower() in _SCHEMES


class PushSink(Sink):
    """H.264 without sound, in the size of the first frame, shrunk by a pixel where a side is odd.

    The server is looked for when the first frame comes. While it cannot be reached a live source's
    frames are dropped and counted, and it is tried again after a second, two, four ... ten, give or take
    a quarter. A file, of which no frame may be lost, is sent as fast as it plays, and a lost server is
    an error.

    Args:
        url: ``rtsp``, ``rtsps``, ``rtmp`` or ``rtmps``.
        info: of the source.
        say: is told when the server is lost and when it is back.
        health: counts lost servers and dropped frames.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        url: str,
        info: StreamInfo,
        say: Say,
        *,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = _shown(url)
        self._url, self._say, self._health, self._clock = url, say, health, clock
        # Both protocols carry 4:2:0 to every player; neither has a way to say how wide a pixel is.
        self._info = replace(info, sound=(), chroma="yuv420p", aspect=Fraction(1), left_behind="", live=True)
        self._live = info.live
        self._pace = Pace(live=info.live, clock=clock)
        self._connection: PushConnection | None = None
        self._size: tuple[int, int] | None = None
        self._wait, self._retry_at = RETRY[0], 0.0
        self._lost_at: float | None = None
        self._random = random.Random()

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Sends a frame, or drops a live source's while the server is away."""
        time.sleep(max(0.0, self._pace.ahead(frame)))
        if self._connection is None and self._clock() < self._retry_at:
            self._health.drop("sink")
            return
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        self._size = self._size or (size[0] // 2 * 2, size[1] // 2 * 2)
        frame = letterboxed(frame, self._size)
        before = None if before is None else letterboxed(before, self._size)
        try:
            if self._connection is None:
                self._connection = PushConnection(
                    self._url,
                    self.name,
                    self._info,
                    self._colour,
                    self._say,
                    frame,
                    compare=before is not None,
                )
            if self._live and not self._connection.ready():
                # What waits for a server would be shown as late as it took to be there, and stay so.
                self._health.drop("sink")
                return
            self._connection.write(frame, before)
        except (UserError, OSError) as error:
            if not self._live:
                raise
            self._lose(error)
            return
        if self._connection.sending:
            self._tell_return()

    def finish(self) -> None:
        """Ends the stream."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish()

    def abort(self) -> None:
        """Leaves the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.kill()

    def _tell_return(self) -> None:
        if self._lost_at is not None:
            self._say(f"{self.name}: sending again after {self._clock() - self._lost_at:.0f} s")
        self._lost_at, self._wait = None, RETRY[0]

    def _lose(self, error: Exception) -> None:
        self.abort()
        now = self._clock()
        self._health.count("sink_fault")
        self._health.drop("sink")
        if self._lost_at is None:
            self._lost_at = now
            self._say(f"{error}; trying again until the server is back")
        self._retry_at = now + self._wait * self._random.uniform(0.75, 1.25)
        self._wait = min(2 * self._wait, RETRY[1])


def _shown(url: str) -> str:
    """The address without user and password, and without the key that ends an RTMP address."""
    if urlsplit(url).scheme.lower().startswith("rtmp"):
        return f"{mask(url).rpartition('/')[0]}/***"
    return mask(url)
