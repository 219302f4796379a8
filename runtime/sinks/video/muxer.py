"""Encoding and muxing: YUV frames and encoded sound -> a container."""

from collections.abc import Callable
from fractions import Fraction
from typing import ParamSpec, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from granet.errors import UserError
from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.sound_track import SoundTrack
from runtime.sources.base import Chroma, SoundPacket, StreamInfo

_LASTS_BY_ORDER = {"mp4", "mov"}
"""Formats in which a packet lasts until the next one in file order, not in presentation order."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Muxer:
    """One output container with one video stream and the input's sound.

    Args:
        target: FFmpeg's URL of the output.
        name: display name of the output.
        kind: container, encoder and their settings.
        info: info of the source.
        size: (height, width) of the frames, in pixels.
        chroma: pixel format of the frames.
        tags: colour tags of the frames: matrix, range, primaries, transfer.
        default_rate: frames per second if the source has no timestamps.

    Raises:
        UserError: if the container cannot hold the sound, or the file cannot be written.
    """

    def __init__(
        self,
        target: str,
        name: str,
        kind: VideoContainer,
        info: StreamInfo,
        *,
        size: tuple[int, int],
        chroma: Chroma,
        tags: tuple[int, int, int, int],
        default_rate: Fraction,
    ) -> None:
        self._name = name
        rate = info.rate or default_rate
        source_base = info.time_base or 1 / default_rate
        self._clock: _RateClock | None = None if kind.keeps_time else _RateClock(name, rate, source_base)
        self._time_base = source_base if kind.keeps_time else 1 / rate
        self._durations: dict[int, int] = {}
        """pts -> duration of the frames held by the encoder."""
        self._nominal = max(1, round(1 / rate / self._time_base))
        self._shown_last = (-1, self._nominal)
        """pts and duration of the picture that is shown after all others so far."""
        self._lasts_by_order = kind.format in _LASTS_BY_ORDER
        self._container: OutputContainer = self._do(
            av.open, target, "w", format=kind.format, container_options=kind.muxer_options
        )
        self._container.metadata.update(info.metadata)
        self._video = self._add_video(kind, rate, size, chroma, tags, info.aspect)
        self._sound = {stream.index: self._add_sound(stream) for stream in info.sound}
        self._live = info.live
        self._start: Fraction | None = None
        """Time of the first frame."""

    def write(self, frame: av.VideoFrame) -> None:
        """Encodes a frame whose ``pts`` is in the source's time base.

        Raises:
            UserError: if the file cannot be written.
            BrokenPipeError: if the reader of stdout has exited.
        """
        if self._clock is not None:
            frame.pts = self._clock.number_of(frame.pts or 0)
        elif frame.pts is not None and frame.duration:
            self._durations[frame.pts] = frame.duration
        frame.time_base = self._time_base
        if self._start is None and frame.pts is not None:
            self._start = frame.pts * self._time_base
        self._mux(self._do(self._video.encode, frame))

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """Writes encoded sound."""
        for packet in packets:
            target = self._sound.get(packet.stream_index)
            if target is None or packet.dts is None or self._is_before_start(packet):
                continue
            for coded in self._do(target.coded, packet):
                self._do(self._container.mux, coded)

    def _is_before_start(self, packet: SoundPacket) -> bool:
        """Whether the packet precedes the first frame of a live recording, which may start at any time."""
        if not self._live:
            return False
        return self._start is None or packet.dts is None or packet.dts * packet.time_base < self._start

    def finish(self) -> None:
        """Flushes the encoder and writes the trailer of the file."""
        self._mux(self._do(self._video.encode, None), last=True)
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._do(self._container.close)

    def _mux(self, packets: "list[Packet[VideoStream]]", *, last: bool = False) -> None:
        for packet in packets:
            # The encoder drops the durations. Without them the last frame would have none, and the average
            # frame rate would be wrong.
            packet.duration = self._durations.pop(packet.pts or 0, self._nominal)
            self._shown_last = max(self._shown_last, (packet.pts or 0, packet.duration))
            if last and packet is packets[-1] and self._lasts_by_order:
                # The last packet in the file need not be the last picture shown, but it ends the file.
                packet.duration = self._shown_last[1]
            self._do(self._container.mux, packet)

    def _add_video(
        self,
        kind: VideoContainer,
        rate: Fraction,
        size: tuple[int, int],
        chroma: Chroma,
        tags: tuple[int, int, int, int],
        aspect: Fraction,
    ) -> VideoStream:
        try:
            stream = self._container.add_stream(kind.encoder, rate=rate, options=dict(kind.encoder_options))
        except ValueError as error:
            raise UserError(
                f"{self._name}: this FFmpeg has no {kind.encoder} encoder; install one that has"
            ) from error
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.height, context.width = size
        context.pix_fmt = chroma
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        context.sample_aspect_ratio = aspect
        stream.time_base = context.time_base = self._time_base
        if not kind.keeps_time:
            # Without timestamps, frames must be stored in presentation order.
            context.max_b_frames = 0
        return stream

    def _add_sound(self, source: AudioStream) -> SoundTrack:
        try:
            return SoundTrack(self._container, source)
        except ValueError as error:
            codec = source.codec_context.name
            raise UserError(
                f"{self._name}: this format cannot hold the sound of the input ({codec}); write .mkv"
            ) from error

    def _do(self, action: Callable[_P, _T], /, *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Calls FFmpeg and reports its errors as failures to write the destination."""
        try:
            return action(*arguments, **options)
        except BrokenPipeError:
            raise
        except av.FFmpegError as error:
            raise UserError(f"{self._name}: cannot be written: {error.strerror}") from error


class _RateClock:
    """Timestamps -> frame numbers, for containers that store only a frame rate."""

    def __init__(self, name: str, rate: Fraction, time_base: Fraction) -> None:
        self._name = name
        self._frames_per_unit = rate * time_base
        self._start: int | None = None
        self._last = -1

    def number_of(self, pts: int) -> int:
        """The number of the frame shown at ``pts``.

        Raises:
            UserError: if ``pts`` coincides with the previous frame or falls between two frames.
        """
        self._start = pts if self._start is None else self._start
        exact = (pts - self._start) * self._frames_per_unit
        number = round(exact)
        if number <= self._last or abs(exact - number) > Fraction(1, 4):
            raise UserError(
                f"{self._name}: this format has no timestamps and the input has a variable frame rate; "
                "write .mp4 or .mkv"
            )
        self._last = number
        return number
