"""A video: a file, a URL or a container on stdin, decoded by FFmpeg through PyAV."""

import errno
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import cast

import av
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.video.stream import VideoStream

from granet.app.console import Say
from granet.app.credentials import mask
from granet.data.upright import UPRIGHT, upright
from granet.errors import UserError
from runtime.media.demuxing import LATE
from runtime.media.frame import Colour, Frame
from runtime.sources.base import AnswerError, DecodedFrame, RefusedError, SoundPacket, Source
from runtime.sources.http_answer import SERVER, http_answer
from runtime.sources.reachability import host_is_known
from runtime.sources.sound_packets import copied
from runtime.sources.url import SILENCE, TIMEOUT, Address
from runtime.sources.video.address import address_of
from runtime.sources.video.clock import BurstPacer, Clock
from runtime.sources.video.container import Input, open_input
from runtime.sources.video.damage import Damage
from runtime.sources.video.late import LatePackets
from runtime.sources.video.oversized_box import with_index
from runtime.sources.video.packets import PacketReader
from runtime.sources.video.rgb import RgbConverter
from runtime.sources.video.span import Span, frames_within
from runtime.sources.video.start import Start
from runtime.sources.video.stream_info import (
    coding_of,
    describe,
    is_live,
    is_possible,
    orientation_of,
    video_stream,
)
from runtime.sources.video.truncation import guessed_end, guessed_truncation

_ANSWERS = (av.HTTPError, av.HTTPClientError)
_REFUSED = (av.HTTPUnauthorizedError, av.HTTPForbiddenError)

_CLOSE_PATIENCE = 0.2
"""Seconds for which :meth:`VideoSource.close` waits for a read to return."""

_MATROSKA, _MOV = "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"
_WITH_DURATION = {_MATROSKA, _MOV, "avi"}
"""Demuxers that report the duration stored in the file, not an estimate."""

_END_TOLERANCE = 1
"""Seconds by which a file may be shorter than its stated duration, because muxers round."""

_SAMPLES = 4
"""Number of packets of each audio stream in ``StreamInfo.sound_samples``."""

_WITHOUT_TIME = {"mpjpeg"}
"""Demuxers that invent timestamps from a nominal rate."""

_IN_BURSTS = {"hls"}
"""Demuxers that deliver seconds of video at once."""


class VideoSource(Source):
    """Every frame of a video, in order, upright, with its timestamp.

    Missing and repeated timestamps are replaced (:class:`runtime.sources.video.clock.Clock`), because
    encoders and players require increasing timestamps and no frame may be lost.

    Damage of a file is skipped and reported in one line at the end (:mod:`runtime.sources.video.damage`).

    A live stream is passed on unchanged, to be supervised (:mod:`runtime.sources.live.supervised`): with
    its original timestamps or none, and with its changes of size; damaged packets are counted and skipped.

    Args:
        text: a path, a URL (http, https, rtsp, rtsps, file), or ``-`` for a container on stdin.
        say: called with a note about each unexpected property of the video.
        timeout: seconds after which a silent server times out.
        silence: the same for a live stream that is already running.
        corrupt: called for each damaged packet or frame of a live stream.
        span: the part of a file to read, with the timestamps of the file and without sound; ``None`` for all
            of it, whose time begins at zero.
        start: seconds of a file to leave out; what follows has its sound, and its time begins there.
        strict: whether damage of a file is an error.
        hwaccel: what to decode on; ``None`` for the CPU.
        address: how FFmpeg opens it; ``None`` to find out from ``text``, which is then only its name.
        live: whether the user says that an address is live.

    Raises:
        UserError: if the input is missing, not a video or has no frame, ends before ``start``, or the server
            times out.
    """

    def __init__(
        self,
        text: str,
        say: Say,
        timeout: float = TIMEOUT,
        *,
        silence: float = SILENCE,
        corrupt: Callable[[], None] = lambda: None,
        span: Span | None = None,
        start: Fraction = Fraction(0),
        strict: bool = False,
        hwaccel: HWAccel | None = None,
        address: Address | None = None,
        live: bool = False,
    ) -> None:
        self._name = "stdin" if text == "-" else mask(text)
        self._say = say
        self._timeout, self._silence = timeout, silence
        self._corrupt = corrupt
        self._closing = threading.Event()
        self._sound: deque[SoundPacket] = deque()
        self._damage = Damage(self._name, say, strict=strict)
        self._late = LatePackets()
        self._start: Start | None = None
        address = address_of(text) if address is None else address
        self._path, self._strict = address.path, strict
        truncation = guessed_truncation(address.path)
        if truncation:
            address = with_index(address)
        self._input = self._open(address, truncation, hwaccel)
        self._container = self._input.container
        try:
            self._stream = video_stream(self._container, self._name)
            self._live = is_live(self._container, address, self._input.size, asked=live)
            self._can_be_late = self._live and self._container.format.name not in _IN_BURSTS
            if hwaccel is not None and not self._stream.codec_context.is_hwaccel:
                say(f"{self._name}: decoded on the CPU: the hardware decoder does not take its codec")
            # Frame threads are faster, but each would delay a live stream by one frame.
            self._stream.thread_type = "SLICE" if self._live else "AUTO"
            audio = () if span is not None else self._container.streams.audio
            self._audio = tuple(s for s in audio if s.codec_context is not None)
            if truncation:
                self._suspect(truncation, strict=strict)
            if span is None and not self._live:
                self._start = Start(start, self._container, self._stream, self._name)
            wanted = span if self._start is None else self._start.span
            self._native = (
                self._begin()
                if wanted is None
                else frames_within(wanted, self._container, self._stream, self._begin)
            )
            # A server may send packets for ever of which none becomes a picture.
            self._first_due = time.monotonic() + self._timeout if address.remote else math.inf
            self._first = next(self._native, None)
            if self._first is None and self._start is not None and start:
                raise self._start.not_found()
            if self._first is None:
                raise UserError(f"{self._name}: has no frames that can be decoded{self._why_none(address)}")
            self._orientation = orientation_of(self._first, lambda message: None)
            self._coding = coding_of(self._first)
            info = describe(
                self._container, self._first, self._stream, self._name, address, live=self._live, say=say
            )
            self.info = replace(info, sound_samples=self._sound_samples(self._reader))
            if self._start is not None:
                self.info = self._start.described(self.info)
            if span is not None:
                self.info = replace(self.info, frames=None, sound=(), left_behind="")
        except BaseException:
            self._input.close()
            raise

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The frames; see :meth:`Source.frames`."""
        time_base = self._stream.time_base or Fraction(1, 90_000)
        format_name = self._container.format.name
        pacer = BurstPacer(self._closing) if self._live and format_name in _IN_BURSTS else None
        convert = RgbConverter(self.info.colour.effective_range, self.info.matrix, colour)
        coding = self._coding
        for index, (native, pts) in enumerate(self._timed(time_base)):
            if (now := coding_of(native)) != coding:
                # In joined recordings too: a new size or codec can change the colour tags and their guesses.
                convert, coding = RgbConverter(*now[:2], colour), now
            if pacer is not None and pts is not None and not pacer.wait(pts * time_base):
                return
            pixels = convert(native)
            if self._orientation != UPRIGHT:
                pixels = upright(pixels, self._orientation)
            # A comparison copies it into an output that has the colours of the first frame.
            plain = self._is_plain(native) and now[:2] == self._coding[:2]
            duration = native.duration or 0
            yield DecodedFrame(
                pixels, index, pts, time_base, native=native if plain else None, duration=duration
            )

    def _timed(self, time_base: Fraction) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """The decoded frames with their timestamps: those of a file corrected, those of a live stream not."""
        if not self._live:
            assert self.info.rate is not None
            for native, pts in Clock(time_base, self.info.rate, self._say).timed(self._all_native()):
                yield native, pts if self._start is None else self._start.shifted(pts, time_base)
            return
        timeless = self._container.format.name in _WITHOUT_TIME
        for native in self._all_native():
            yield native, None if timeless else native.pts

    def sound(self) -> list[SoundPacket]:
        """See :meth:`Source.sound`."""
        return [self._sound.popleft() for _ in range(len(self._sound))]

    def close(self) -> None:
        """Closes the container, unless another thread is blocked on the server."""
        self._closing.set()
        self._damage.tell(at_end=False)
        # FFmpeg crashes if a container is closed during a read.
        busy = self._reader.busy
        if busy.acquire(timeout=_CLOSE_PATIENCE):
            self._input.close()
            busy.release()

    def _all_native(self) -> Iterator[av.VideoFrame]:
        if self._first is not None:
            yield self._first
            self._first = None
        yield from self._native

    def _is_plain(self, native: av.VideoFrame) -> bool:
        return self._orientation == UPRIGHT and native.format.name.replace("yuvj", "yuv") == self.info.chroma

    def _open(self, address: Address, truncation: str, hwaccel: HWAccel | None) -> Input:
        silence = self._silence if address.live else self._timeout
        timeout = (self._timeout, silence) if address.remote else None
        start = time.monotonic()
        try:
            return open_input(address, timeout, hwaccel)
        except RuntimeError as error:  # only hardware raises it
            raise UserError(
                f"{self._name}: the hardware decoder cannot decode it; leave --hwaccel out to use the CPU"
            ) from error
        except AnswerError as error:
            raise AnswerError(f"{self._name}: {error}") from error
        except UserError as error:
            raise UserError(f"{self._name}: {error}") from error
        except av.FFmpegError as error:
            waited = time.monotonic() - start
            reason = f"is truncated: {truncation}" if truncation else self._reason(error, address, waited)
            raise self._kind(error, reason)(f"{self._name}: {reason}") from error

    @staticmethod
    def _kind(error: av.FFmpegError, reason: str) -> type[UserError]:
        if isinstance(error, _REFUSED):
            return RefusedError
        answered = isinstance(error, _ANSWERS) or reason.startswith(SERVER)
        return AnswerError if answered else UserError

    def _reason(self, error: av.FFmpegError, address: Address, waited: float) -> str:
        # The protocol decides which error an interrupted read raises, so check the elapsed time as well.
        if isinstance(error, (av.ExitError, av.TimeoutError)) or (address.remote and waited >= self._timeout):
            return f"no response within {self._timeout:g} s"
        if address.remote and error.errno == errno.EIO and not host_is_known(address.target):
            return "unknown host, or no network"
        # "Invalid argument" is FFmpeg's error for a container that is not on the list.
        unreadable = isinstance(error, (av.InvalidDataError, av.ArgumentError, av.EOFError))
        # FFmpeg also reports an answer that ends too early as an input/output error.
        if address.target.startswith("http") and (unreadable or error.errno == errno.EIO):
            answer = http_answer(address.target, self._timeout / 4)
            if answer is not None:
                return answer
        if unreadable:
            return "is damaged, or is not a supported video or picture"
        return f"cannot be opened: {error.strerror}"

    def _why_none(self, address: Address) -> str:
        """The usual reason for a remote file without frames, with what to do; empty for all others."""
        if address.target.startswith("http") and self._container.format.name == _MOV:
            return (
                "; if its index is at the end, the server must be able to send a part of a file: "
                "download it first, or use another server"
            )
        return ""

    def _suspect(self, truncation: str, *, strict: bool) -> None:
        """Reports a guess, which only strict mode takes for certain."""
        if strict:
            raise UserError(f"{self._name}: is truncated: {truncation}")
        self._say(f"{self._name}: may be truncated: {truncation}")

    def _sound_samples(self, reader: PacketReader) -> dict[int, tuple[SoundPacket, ...]]:
        # A live stream is not read ahead, because that would delay its first frame.
        ahead = () if self._live else reader.look_ahead(self._audio, _SAMPLES)
        packets = [packet for packet in (*self._sound, *ahead) if packet.size]
        samples = {}
        for stream in self._audio:
            found = [packet for packet in packets if packet.stream.index == stream.index][:_SAMPLES]
            samples[stream.index] = copies = copied(cast("list[SoundPacket]", found))
            for copy, packet in zip(copies, found, strict=True):
                if self._start is not None and packet in ahead:
                    self._start.shift(copy)  # the others were shifted when they were heard
        return {index: tuple(copies) for index, copies in samples.items()}

    def _begin(self) -> Iterator[av.VideoFrame]:
        """Begins to decode where the container is."""
        streams = (self._stream, *self._audio)
        self._sound.clear()  # of an attempt that began too late
        self._reader = PacketReader(
            self._container, streams, None if self._live else self._damage, self._input.packet_came
        )
        return self._decoded(self._reader)

    def _decoded(self, reader: PacketReader) -> Iterator[av.VideoFrame]:
        """Decodes the video and buffers the sound until the container ends."""
        try:
            yield from self._frames_to_end(reader)
        except UserError as error:
            raise type(error)(f"{self._name}: {str(error).removeprefix(f'{self._name}: ')}") from error
        except av.FFmpegError as error:
            if isinstance(error, (av.ExitError, av.TimeoutError)):
                silence = self._silence if self._live else self._timeout
                raise UserError(
                    f"{self._name}: sent nothing for {silence:g} s after frame {self._damage.frames}"
                ) from error
            raise self._damage.error(f" ({error.strerror})") from error

    def _frames_to_end(self, reader: PacketReader) -> Iterator[av.VideoFrame]:
        is_flushed = False
        while (packet := reader.next()) is not None:
            if not self._damage.frames and time.monotonic() > self._first_due:
                raise UserError(f"{self._name}: sends data, but no picture within {self._timeout:g} s")
            # Not `stream_index`: it is 0 in all empty packets at the end.
            if packet.stream.index != self._stream.index:
                self._hear(cast("SoundPacket", packet))
                continue
            is_flushed = packet.size == 0
            is_late = self._can_be_late and self._late.is_late(packet, reader.waited)
            for frame in self._frames_of(cast("Packet[VideoStream]", packet)):
                if not is_late:
                    yield frame
        if not is_flushed:
            yield from self._frames_of(None)
        self._check_end(reader.end)
        if not self._live:
            self._check_rest(reader)
        self._damage.tell(at_end=True)

    def _hear(self, packet: SoundPacket) -> None:
        """Buffers a packet of sound; an output leaves it out if it cannot be used."""
        if not packet.size:
            return
        if self._start is not None:
            if not self._start.takes(packet):
                return
            self._start.shift(packet)
        if packet.is_corrupt:
            self._count(self._damage.marked_sound)
        self._sound.append(packet)

    def _frames_of(self, packet: "Packet[VideoStream] | None") -> Iterator[av.VideoFrame]:
        """Decodes a packet, or flushes the decoder; counts damage."""
        damage = self._damage
        if packet is not None and packet.is_corrupt:
            self._count(damage.marked)
        if packet is not None and packet.size and not self._live and not packet.is_discard:
            damage.sent(packet.pts)
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError as error:
            self._count(partial(damage.failed, str(error.strerror)))
            return
        if concealed := sum(frame.is_corrupt and self._is_wanted(frame) for frame in frames):
            self._count(partial(damage.concealed, concealed))
        for frame in frames:
            damage.decoded(frame.pts, interlaced=frame.interlaced_frame)
            yield frame

    def _is_wanted(self, frame: av.VideoFrame) -> bool:
        """Whether a frame is behind the start; those before it may refer to frames that were not read."""
        first = None if self._start is None else self._start.span.start
        return first is None or (frame.pts is not None and frame.pts >= first)

    def _count(self, damage: Callable[[], None]) -> None:
        """Counts damage; only that of a file is summed up, because a live stream has no end."""
        (self._corrupt if self._live else damage)()

    def _check_rest(self, reader: PacketReader) -> None:
        """Reports what seems to be missing or left out behind the last packet."""
        missing, left_out = guessed_end(self._path, reader.position)
        if reader.has_late:
            self._say(f"{self._name}: {LATE}")
        if missing:
            self._suspect(missing, strict=self._strict)
        if left_out:
            self._say(f"{self._name}: {left_out}")

    def _check_end(self, end: Fraction) -> None:
        """Notes whether the file ended early: a demuxer that loses sync in a damaged file reports its end."""
        container, read = self._container, {self._stream.index, *(s.index for s in self._audio)}
        if container.format.name not in _WITH_DURATION or container.duration is None:
            return
        if self._live or any(stream.index not in read for stream in container.streams):
            return
        if not self._damage.frames:
            return  # that is an error of its own, and the frame rate is unknown
        # Some writers of Matroska count from zero, others from the first frame: take the earlier end.
        start = 0 if container.format.name == _MATROSKA else container.start_time or 0
        stated = Fraction(start + container.duration, av.time_base)
        if stated - end > _END_TOLERANCE and is_possible(round(stated * (self.info.rate or 1)), container):
            self._damage.missing(f"{float(stated - end):.1f} s of {float(stated):.1f} s are missing")
