"""Encoding and muxing: YUV frames and encoded sound -> a container."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import ParamSpec, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from granet.errors import UserError
from runtime.sinks.video.containers import MATROSKA, VideoContainer
from runtime.sinks.video.encoders import hdr_options
from runtime.sinks.video.fragments import Fragments, reach_end
from runtime.sinks.video.sound_spacing import lost_offset
from runtime.sinks.video.sound_track import SoundTrack
from runtime.sinks.video.sound_trial import way_for
from runtime.sinks.video.tracks import carry_over
from runtime.sources.base import SoundPacket, StreamInfo

_LASTS_BY_ORDER = {"mp4", "mov"}
"""Formats in which a packet lasts until the next one in file order, not in presentation order."""

_X265_DELAY = 2
"""libx265 knows the decoding times of its frames after this number; of fewer it gives random ones."""

KEY_SECONDS = 2
"""Most seconds between the key frames of live video: a viewer who joins waits for one."""

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
        pix_fmt: pixel format of the frames.
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
        pix_fmt: str,
        tags: tuple[int, int, int, int],
        default_rate: Fraction,
    ) -> None:
        self._name = name
        rate = info.rate or default_rate
        source_base = self._source_base = info.time_base or 1 / default_rate
        self._samples = info.sound_samples
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
        options = hdr_options(kind.encoder, kind.encoder_options, info.hdr.parameters)
        kind = replace(kind, encoder_options=options)
        self._video = self._add_video(kind, rate, size, pix_fmt, tags, info.aspect)
        self.notes: list[str] = []
        """Notes on sound that loses something."""
        tracks = {stream.index: self._add_sound(kind, stream, info) for stream in info.sound}
        self._sound = {index: track for index, track in tracks.items() if track is not None}
        self._fragments = Fragments(kind.muxer_options, tracks=1 + len(self._sound))
        sounds = {index: track.stream for index, track in self._sound.items()}
        carry_over(self._container, info, self._video, sounds)
        self._live = info.live
        self._key_at: Fraction | None = None
        """Time of the last picture of a live source that was made a key frame."""
        self._start: Fraction | None = None
        """Time of the first frame."""
        self._tick: Fraction | None = None
        """Resolution of the container's timestamps in seconds, once its header is written."""
        self._last_tick: int | None = None
        self._frames = 0
        """Number of frames that were given to the encoder."""

    def write(self, frame: av.VideoFrame) -> None:
        """Encodes a frame whose ``pts`` is in the source's time base.

        Raises:
            UserError: if the file cannot be written.
            BrokenPipeError: if the reader of stdout has exited.
        """
        if self._clock is not None:
            self._check_offset(frame.pts or 0)
            frame.pts = self._clock.number_of(frame.pts or 0)
        frame.time_base = self._time_base
        self._separate(frame)
        if self._clock is None and frame.pts is not None and frame.duration:
            self._durations[frame.pts] = frame.duration
        if self._start is None and frame.pts is not None:
            self._start = frame.pts * self._time_base
        self._frames += 1
        if self._live and frame.pts is not None:
            self._make_key(frame, frame.pts * self._time_base)
        self._mux(self._do(self._video.encode, frame))

    def _make_key(self, frame: av.VideoFrame, time: Fraction) -> None:
        """Makes a key frame of a live picture in time: encoders count frames, and a slow engine gives few."""
        is_due = self._key_at is None or time >= self._key_at + KEY_SECONDS
        self._key_at = time if is_due else self._key_at
        frame.pict_type = PictureType.I if is_due else PictureType.NONE

    def _check_offset(self, pts: int) -> None:
        if self._frames:
            return
        if lost := lost_offset(self._samples, pts * self._source_base, self._time_base):
            raise UserError(f"{self._name}: this format has no timestamps and {lost}; write .mp4 or .mkv")

    def _separate(self, frame: av.VideoFrame) -> None:
        """Moves a frame forward whose timestamp the container could not tell from the previous one."""
        if frame.pts is None:
            return
        if self._tick is None:
            # The muxer chooses its time base when it writes the header.
            self._do(self._container.start_encoding)
            self._tick = self._video.time_base or self._time_base
        ticks = self._time_base / self._tick
        # FFmpeg rounds halves up, round() to even.
        at = math.floor(frame.pts * ticks + Fraction(1, 2))
        if self._last_tick is not None and at <= self._last_tick:
            at = self._last_tick + 1
            frame.pts = math.ceil(at / ticks)
        self._last_tick = at

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """Writes encoded sound; leaves out damaged packets."""
        for packet in packets:
            target = self._sound.get(packet.stream_index)
            if target is None or packet.dts is None or self._is_before_start(packet):
                continue
            self._mux_sound(target, target.coded(packet))

    def _mux_sound(self, track: SoundTrack, packets: list[SoundPacket]) -> None:
        for packet in packets:
            self._fragments.add(packet, track.stream.index)
            self._do(self._container.mux, packet)

    @property
    def sound_losses(self) -> list[str]:
        """What the sound has lost or may have lost so far, for display."""
        tracks = self._sound.values()
        lines = [
            f"the sound changes {track.change}; {self._name} states only the first, and players may play the "
            "rest wrongly"
            for track in tracks
            if track.change
        ]
        if left_out := sum(track.left_out for track in tracks):
            packets = f"{left_out} damaged packet{'' if left_out == 1 else 's'}"
            lines.append(f"{packets} of the sound left out of {self._name}")
        return lines

    def _is_before_start(self, packet: SoundPacket) -> bool:
        """Whether the packet precedes the first frame of a live recording, which may start at any time."""
        if not self._live:
            return False
        return self._start is None or packet.dts is None or packet.dts * packet.time_base < self._start

    def finish(self) -> None:
        """Flushes the encoders and writes the trailer of the file."""
        for track in self._sound.values():
            self._mux_sound(track, track.rest())
        packets = self._do(self._video.encode, None)
        if self._frames <= _X265_DELAY and self._video.codec_context.name == "libx265":
            for packet in packets:  # none is a B frame
                packet.dts = packet.pts
        self._mux(packets, last=True)
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
        ends = last and self._lasts_by_order
        end = sum(self._shown_last)
        if ends:
            reach_end(packets[:-1], end)
        for packet in packets:
            self._fragments.add(packet, self._video.index)
            if ends and packet is packets[-1]:
                # The last packet in the file need not be the last picture shown, but it ends the file.
                packet.duration = self._shown_last[1]
                if self._fragments.cuts_before_last(self._video.index):
                    reach_end([packet], end)  # a little too long, but otherwise that picture would be lost
            self._do(self._container.mux, packet)

    def _add_video(
        self,
        kind: VideoContainer,
        rate: Fraction,
        size: tuple[int, int],
        pix_fmt: str,
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
        formats = context.codec.video_formats
        if formats and pix_fmt not in {each.name for each in formats}:
            raise UserError(
                f"{self._name}: {kind.encoder} cannot encode {pix_fmt} of {size[1]}x{size[0]}: "
                "choose another --codec, such as h264"
            )
        context.height, context.width = size
        context.pix_fmt = pix_fmt
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        context.sample_aspect_ratio = aspect
        stream.time_base = context.time_base = self._time_base
        if not kind.keeps_time:
            # Without timestamps, frames must be stored in presentation order.
            context.max_b_frames = 0
        return stream

    def _add_sound(self, kind: VideoContainer, source: AudioStream, info: StreamInfo) -> SoundTrack | None:
        samples = info.sound_samples.get(source.index, ())
        codec = source.codec_context.name
        try:
            track = SoundTrack(self._container, kind, source, samples)
        except ValueError as error:
            if way_for(MATROSKA, source, samples) is None:
                self.notes.append(f"the sound ({codec}) can be neither copied nor decoded and is left out")
                return None
            if samples and way_for(kind, source, ()) is not None:
                raise UserError(
                    f"{info.name}: its sound is damaged, or is not {codec} as the file states: {self._name} "
                    "cannot hold it; write .mkv, which copies it as it is"
                ) from error
            raise UserError(
                f"{self._name}: this format cannot hold the sound of the input ({codec}); write .mkv"
            ) from error
        if track.note:
            self.notes.append(track.note)
        return track

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
