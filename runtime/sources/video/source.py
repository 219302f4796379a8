"""A video: a file, a URL or a container on stdin, decoded by FFmpeg through PyAV."""

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from granet.app.console import Say
from granet.app.credentials import mask
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.media.upright import UPRIGHT, upright
from runtime.sources.base import DecodedFrame, SoundPacket, Source
from runtime.sources.reachability import host_is_known
from runtime.sources.url import SILENCE, TIMEOUT, Address
from runtime.sources.video.address import address_of
from runtime.sources.video.clock import BurstPacer, Clock
from runtime.sources.video.rgb import RgbConverter
from runtime.sources.video.stream_info import coding_of, describe, is_live, orientation_of, video_stream

_CLOSE_PATIENCE = 0.2
"""Seconds for which :meth:`VideoSource.close` waits for a read to return."""

_WITH_DURATION = {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "avi"}
"""Demuxers that report the duration stored in the file, not an estimate."""

_END_TOLERANCE = 1
"""Seconds by which a file may be shorter than its stated duration, because muxers round."""

_WITHOUT_TIME = {"mpjpeg"}
"""Demuxers that invent timestamps from a nominal rate."""

_IN_BURSTS = {"hls"}
"""Demuxers that deliver seconds of video at once."""


class VideoSource(Source):
    """Every frame of a video, in order, upright, with its timestamp.

    A frame without a timestamp gets its predecessor's plus one frame period; a timestamp that does not
    increase is moved forward by the minimum, because encoders and players require increasing timestamps
    and no frame may be lost. A damaged packet ends a file with an error.

    A live stream is passed on unchanged, to be supervised (:mod:`runtime.sources.live.supervised`): with
    its original timestamps or none, and with its changes of size; damaged packets are counted and skipped.

    Args:
        text: a path, a URL (http, https, rtsp, rtsps, file), or ``-`` for a container on stdin.
        say: called with a note about each unexpected property of the video.
        timeout: seconds after which a silent server times out.
        silence: the same for a live stream that is already running.
        corrupt: called for each damaged packet or frame of a live stream.

    Raises:
        UserError: if the input is missing, not a video, truncated or has no frame, or the server times
            out.
    """

    def __init__(
        self,
        text: str,
        say: Say,
        timeout: float = TIMEOUT,
        *,
        silence: float = SILENCE,
        corrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = "stdin" if text == "-" else mask(text)
        self._say = say
        self._timeout, self._silence = timeout, silence
        self._corrupt = corrupt
        self._closing = threading.Event()
        self._sound: deque[SoundPacket] = deque()
        self._count = 0
        self._end = Fraction(0)
        self._busy = threading.Lock()
        address = address_of(text)
        self._container = self._open(address)
        try:
            self._stream = video_stream(self._container, self._name)
            self._live = is_live(self._container, address)
            # Frame threads are faster, but each would delay a live stream by one frame.
            self._stream.thread_type = "SLICE" if self._live else "AUTO"
            self._audio = tuple(s for s in self._container.streams.audio if s.codec_context is not None)
            self._native = self._decoded()
            self._first = next(self._native, None)
            if self._first is None:
                raise UserError(f"{self._name}: has no frames")
            self._orientation = orientation_of(self._first, lambda message: None)
            self.info = describe(
                self._container, self._first, self._stream, self._name, address, live=self._live, say=say
            )
        except BaseException:
            self._container.close()
            raise

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The frames; see :meth:`Source.frames`."""
        time_base = self._stream.time_base or Fraction(1, 90_000)
        clock = Clock(time_base, self.info.rate, self._say)
        format_name = self._container.format.name
        pacer = BurstPacer(self._closing) if self._live and format_name in _IN_BURSTS else None
        timeless = format_name in _WITHOUT_TIME
        convert, coding = self._converter(colour)
        for index, native in enumerate(self._all_native()):
            if self._live and (now := coding_of(native)) != coding:
                # A new size or codec can change the colour tags and the guesses for missing ones.
                convert, coding = RgbConverter(*now[:2], colour), now
            pts = (None if timeless else native.pts) if self._live else clock.time_of(native)
            if pacer is not None and pts is not None and not pacer.wait(pts * time_base):
                return
            pixels = convert(native)
            if self._orientation != UPRIGHT:
                pixels = upright(pixels, self._orientation)
            plain = self._is_plain(native)
            duration = native.duration or 0
            yield DecodedFrame(
                pixels, index, pts, time_base, native=native if plain else None, duration=duration
            )

    def _converter(self, colour: Colour) -> tuple[RgbConverter, tuple[object, ...]]:
        convert = RgbConverter(self.info.colour.effective_range, self.info.matrix, colour)
        return convert, () if self._first is None else coding_of(self._first)

    def sound(self) -> list[SoundPacket]:
        """See :meth:`Source.sound`."""
        return [self._sound.popleft() for _ in range(len(self._sound))]

    def close(self) -> None:
        """Closes the container, unless another thread is blocked on the server."""
        self._closing.set()
        # FFmpeg crashes if a container is closed during a read.
        if self._busy.acquire(timeout=_CLOSE_PATIENCE):
            self._container.close()
            self._busy.release()

    def _all_native(self) -> Iterator[av.VideoFrame]:
        if self._first is not None:
            yield self._first
            self._first = None
        yield from self._native

    def _is_plain(self, native: av.VideoFrame) -> bool:
        return self._orientation == UPRIGHT and native.format.name.replace("yuvj", "yuv") == self.info.chroma

    def _open(self, address: Address) -> InputContainer:
        silence = self._silence if address.live else self._timeout
        timeout = (self._timeout, silence) if address.remote else None
        start = time.monotonic()
        try:
            return av.open(address.target, "r", options=address.options, timeout=timeout)
        except av.FFmpegError as error:
            waited = time.monotonic() - start
            raise UserError(f"{self._name}: {self._reason(error, address, waited)}") from error

    def _reason(self, error: av.FFmpegError, address: Address, waited: float) -> str:
        # The protocol decides which error an interrupted read raises, so check the elapsed time as well.
        if isinstance(error, (av.ExitError, av.TimeoutError)) or (address.remote and waited >= self._timeout):
            return f"no response within {self._timeout:g} s"
        if address.remote and error.errno == errno.EIO and not host_is_known(address.target):
            return "unknown host, or no network"
        if isinstance(error, (av.InvalidDataError, av.EOFError)):
            return "is damaged, or is not a supported video or picture"
        return f"cannot be opened: {error.strerror}"

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decodes the video and buffers the sound until the container ends."""
        try:
            packets = self._container.demux(self._stream, *self._audio)
            while (packet := self._next_packet(packets)) is not None:
                # Not `stream_index`: it is 0 in all empty packets at the end.
                if packet.stream.index != self._stream.index:
                    if packet.size:
                        self._sound.append(cast("SoundPacket", packet))
                    continue
                for frame in self._frames_of(packet):
                    self._count += 1
                    yield frame
            self._check_end()
        except av.FFmpegError as error:
            if isinstance(error, (av.ExitError, av.TimeoutError)):
                silence = self._silence if self._live else self._timeout
                reason = f"{self._name}: sent nothing for {silence:g} s after frame {self._count}"
                raise UserError(reason) from error
            raise self._damaged(f" ({error.strerror})") from error

    def _frames_of(self, packet: "Packet[Stream]") -> list[av.VideoFrame]:
        """Decodes a packet; damage raises an error for a file and is counted for a live stream."""
        if packet.is_corrupt:
            if not self._live:
                raise self._damaged("")
            self._corrupt()
        try:
            frames = self._stream.decode(cast("Packet[VideoStream]", packet))
        except av.InvalidDataError:
            if not self._live:
                raise
            self._corrupt()
            return []
        if any(frame.is_corrupt for frame in frames):
            if self._live:
                self._corrupt()
            else:
                self._say("the video is damaged; the decoder concealed errors in some frames")
        return frames

    def _next_packet(self, packets: "Iterator[Packet[Stream]]") -> "Packet[Stream] | None":
        with self._busy:
            packet = next(packets, None)
        if packet is not None and packet.pts is not None:
            self._end = max(self._end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        return packet

    def _check_end(self) -> None:
        """Raises if the file ended early: a demuxer that loses sync in a damaged file reports its end."""
        container, read = self._container, {self._stream.index, *(s.index for s in self._audio)}
        if container.format.name not in _WITH_DURATION or container.duration is None:
            return
        if self._live or any(stream.index not in read for stream in container.streams):
            return
        end = Fraction((container.start_time or 0) + container.duration, av.time_base)
        if end - self._end > _END_TOLERANCE:
            raise self._damaged(f": {float(end - self._end):.1f} s of {float(end):.1f} s are missing")

    def _damaged(self, detail: str) -> UserError:
        where = f"after frame {self._count}" if self._count else "before its first frame"
        return UserError(f"{self._name}: is damaged or truncated {where}{detail}")
