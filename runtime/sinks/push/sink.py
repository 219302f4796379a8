"""Pushes the picture to an RTSP, RTMP or WHIP server and reconnects after an outage."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from granet.app.console import Say
from granet.app.credentials import mask
from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.pace import Pace
from runtime.sinks.push.certificate import require_certificates
from runtime.sinks.push.connection import PushConnection
from runtime.sinks.push.process import FORMAT
from runtime.sinks.push.protocols import Target
from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.encoders import ENCODERS
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sinks.video.pixel_formats import canonical
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from runtime.views.letterbox import letterboxed

_X264 = {
    **ENCODERS["libx264"].live,
    "crf": "23",
    "maxrate": "6M",
    "bufsize": "6M",
}

_POLL = 0.01
"""Seconds between two looks at whether the first picture of a file is sent."""


class PushSink(Sink):
    """Sends video without sound, in the size of the first frame, with odd sides reduced by one pixel.

    The sink connects on the first frame. While the server is unreachable, frames of a live source are
    dropped and counted, and the sink reconnects with back-off. A file is sent in real time
    from its first picture on; none of its frames may be lost, so a lost server is an error.

    Args:
        url: an address with a scheme of :data:`runtime.sinks.push.protocols.PROTOCOLS`.
        info: info of the source.
        say: called when the server is lost and when it is back.
        health: counts lost connections and dropped frames.
        encoding: the encoder and its options; H.264 by default.
        clock: monotonic clock in seconds.
        backoff: back-off between attempts; ``None`` uses the default.

    Raises:
        UserError: if the encoder cannot be used, the protocol does not carry its codec, or it needs a package
            that is not installed.
    """

    def __init__(
        self,
        url: str,
        info: StreamInfo,
        say: Say,
        *,
        health: Health,
        encoding: Encoding = DEFAULT,
        clock: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = mask(url)
        self._target = Target.of(url)
        if self._target.protocol.has_certificate:
            require_certificates()
        self._say, self._health, self._clock = say, health, clock
        if info.sound:
            say(f"note: {self.name}: is pushed without sound")
        # Every player supports 4:2:0.
        self._info = replace(info, sound=(), chroma="yuv420p", left_behind="", live=True)
        self._kind = self._encoded(encoding, say)
        self._live = info.live
        self._pace = Pace(live=info.live, clock=clock)
        self._released = threading.Event()
        self._connection: PushConnection | None = None
        self._size: tuple[int, int] | None = None
        self._backoff, self._retry_at = backoff or Backoff(), 0.0
        self._sending_since: float | None = None
        self._lost_at: float | None = None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Sends a frame; drops a frame of a live source while the server is unreachable."""
        if self._connection is not None:
            self._pace.wait(frame)
        if not self._may_send():
            self._health.drop("sink")
            return
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        self._size = self._size or (size[0] // 2 * 2, size[1] // 2 * 2)
        frame = letterboxed(frame, self._size)
        before = None if before is None else letterboxed(before, self._size)
        try:
            if self._connection is None:
                self._connection = PushConnection(
                    self._target,
                    self.name,
                    self._kind,
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
            self._wait_for(self._connection)
            # The clock of a file starts once its first picture is sent: what waits for the connection would
            # come in a burst.
            self._pace.ahead(frame)
        except (UserError, OSError) as error:
            if not self._live:
                raise
            self._lose(error)
            return
        if self._is_sending():
            self._announce_recovery()

    def _may_send(self) -> bool:
        """Whether a frame is worth a try: not before the next attempt, nor to a mute server after a stop."""
        if self._released.is_set() and not self._is_sending():
            return False
        return self._connection is not None or self._clock() >= self._retry_at

    def _wait_for(self, connection: PushConnection) -> None:
        """Waits until the server of a file has accepted the first frame, unless the run is stopped."""
        while not (self._live or self._released.is_set() or connection.ready()):
            time.sleep(_POLL)

    def _is_sending(self) -> bool:
        return self._connection is not None and self._connection.sending

    def release(self) -> None:
        """See :meth:`Sink.release`. A server that has not accepted a frame yet is not waited for."""
        self._released.set()
        self._pace.release()

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

    def _encoded(self, encoding: Encoding, say: Say) -> VideoContainer:
        protocol = self._target.protocol
        if canonical(encoding.pix_fmt) not in (None, "yuv420p"):
            raise UserError(f"{self.name}: --pix-fmt {encoding.pix_fmt}: a stream is yuv420p, which all play")
        kind = VideoContainer(
            FORMAT,
            encoder_options={**_X264, **protocol.encoder_options},
            muxer_options={"flush_packets": "1"},
            live=True,
        )
        kind = encoding.applied_to(kind, self._info, self.name, say)
        codec = ENCODERS[kind.encoder].codec
        if codec not in protocol.codecs:
            raise UserError(
                f"{self.name}: --codec {encoding.codec}: this protocol carries "
                f"{' and '.join(protocol.codecs)}"
            )
        return kind

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
