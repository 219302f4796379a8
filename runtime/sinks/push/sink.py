"""Pushes the picture to an RTSP or RTMP server and reconnects after an outage."""

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from urllib.parse import urlsplit

from granet.app.console import Say
from granet.app.credentials import mask
from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.pace import Pace
from runtime.sinks.push.connection import PushConnection
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from runtime.views.letterbox import letterboxed

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps")


def is_push(text: str) -> bool:
    """Whether ``text`` is an address that supports pushing."""
    return "://" in text and urlsplit(text).scheme.lower() in _SCHEMES


class PushSink(Sink):
    """Sends H.264 without sound, in the size of the first frame, with odd sides reduced by one pixel.

    The sink connects on the first frame. While the server is unreachable, frames of a live source are
    dropped and counted, and the sink reconnects with back-off. A file is sent in real time; none of its
    frames may be lost, so a lost server is an error.

    Args:
        url: an ``rtsp``, ``rtsps``, ``rtmp`` or ``rtmps`` address.
        info: info of the source.
        say: called when the server is lost and when it is back.
        health: counts lost connections and dropped frames.
        clock: monotonic clock in seconds.
        backoff: back-off between attempts; ``None`` uses the default.
    """

    def __init__(
        self,
        url: str,
        info: StreamInfo,
        say: Say,
        *,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = _shown(url)
        self._url, self._say, self._health, self._clock = url, say, health, clock
        # Every player supports 4:2:0 over both protocols; neither can transmit a pixel aspect ratio.
        self._info = replace(info, sound=(), chroma="yuv420p", aspect=Fraction(1), left_behind="", live=True)
        self._live = info.live
        self._pace = Pace(live=info.live, clock=clock)
        self._connection: PushConnection | None = None
        self._size: tuple[int, int] | None = None
        self._backoff, self._retry_at = backoff or Backoff(), 0.0
        self._sending_since: float | None = None
        self._lost_at: float | None = None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Sends a frame; drops a frame of a live source while the server is unreachable."""
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
                # Frames queued for the server would add a permanent delay.
                self._health.drop("sink")
                return
            self._connection.write(frame, before)
        except (UserError, OSError) as error:
            if not self._live:
                raise
            self._lose(error)
            return
        if self._connection.sending:
            self._announce_recovery()

    def finish(self) -> None:
        """Ends the stream."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish()

    def abort(self) -> None:
        """Drops the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.kill()

    def _announce_recovery(self) -> None:
        now = self._clock()
        if self._sending_since is None:
            self._sending_since = now
        if self._lost_at is not None:
            self._say(f"{self.name}: sending again after {now - self._lost_at:.0f} s")
        self._lost_at = None

    def _lose(self, error: Exception) -> None:
        self.abort()
        now = self._clock()
        self._health.count("sink_fault")
        self._health.drop("sink")
        if self._lost_at is None:
            self._lost_at = now
            self._say(f"{error}; retrying until the server is back")
        if self._sending_since is not None:
            self._backoff.lived(now - self._sending_since)
        self._sending_since = None
        self._retry_at = now + self._backoff.wait()


def _shown(url: str) -> str:
    """The address without user, password and the stream key at the end of an RTMP address."""
    if urlsplit(url).scheme.lower().startswith("rtmp"):
        return f"{mask(url).rpartition('/')[0]}/***"
    return mask(url)
