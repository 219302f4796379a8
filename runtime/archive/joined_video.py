"""Copy the segments of a recording into one video, with the sound and the rest of the source."""

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from granet.errors import UserError
from runtime.archive.other_streams import OtherStreams, is_cover
from runtime.archive.plan import PlannedFile
from runtime.archive.storage.place import stored
from runtime.archive.video_file import open_video, read_video
from runtime.archive.video_parts import DecodingClock, Look, Part, VideoWriter, with_parameter_sets
from runtime.media.demuxing import demuxed
from runtime.sinks.video.containers import VideoContainer, container_for
from runtime.sinks.video.encoding import Encoding
from runtime.sinks.video.sound_spacing import lost_offset
from runtime.sinks.video.sound_track import SoundTrack
from runtime.sinks.video.tracks import carry_over, losses
from runtime.sources.base import SoundPacket, StreamInfo
from runtime.sources.video.start import clock_offset

_AVC3 = {"mp4", "mov"}
"""Formats with a name of its own for H.264 whose key frames hold parameter sets."""

_Timed = tuple[Fraction, int, "Packet[Any]"]


class JoinError(UserError):
    """Published segments cannot be joined."""


class JoinedVideo:
    """One pass over the segments and the source, which writes the result.

    Args:
        file: the recording.
        videos: the segments that have frames, in order.
        target: the file to write.
        encoding: how the segments are encoded.

    Raises:
        JoinError: if no segment has frames.
    """

    def __init__(self, file: PlannedFile, videos: Sequence[Part], target: Path, encoding: Encoding) -> None:
        self._file, self._videos, self._target, self._encoding = file, videos, target, encoding
        self._kind: VideoContainer = container_for(Path(file.output).suffix).for_retries()
        if not self._videos:
            raise JoinError(f"{file.name}: no segment has frames; nothing is written")
        self._notes: list[str] = []
        self._begin = Fraction(0)
        """Time in the source that is 0 in the result."""

    def run(self) -> tuple[str, ...]:
        """Writes the file.

        Returns:
            Notes on what it does not keep.

        Raises:
            UserError: if a segment cannot be read or the file cannot be written.
        """
        try:
            with ExitStack() as held:
                video = held.enter_context(stored(self._file.path).video())
                described = held.enter_context(read_video(video, lambda note: None))
                source = held.enter_context(open_video(video))
                output = held.enter_context(
                    av.open(
                        f"file:{self._target}",
                        "w",
                        format=self._kind.format,
                        container_options=self._kind.muxer_options,
                    )
                )
                self._write(source, described.info, output)
            with self._target.open("rb") as written:
                os.fsync(written.fileno())
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{self._file.output}: cannot be joined or written: {reason}") from error
        return tuple(self._notes)

    def _write(self, source: InputContainer, info: StreamInfo, output: OutputContainer) -> None:
        self._begin = clock_offset(source)
        output.metadata.update(info.metadata)
        writer = self._add_video(output)
        video = writer.stream
        sounds = self._add_sounds(info, output)
        others = OtherStreams(source, output)
        carry_over(output, info, video, {index: track.stream for index, track in sounds.items()})
        self._notes += losses(self._kind.format, self._encoder(info), info)
        if not self._kind.keeps_time:
            first, period = self._videos[0].start - self._begin, 1 / (info.rate or Fraction(1))
            if lost := lost_offset(info.sound_samples, first, period):
                self._notes.append(f"not kept: {lost}")
        output.start_encoding()  # the muxer now chooses the time bases, which sound tracks need to know
        copied = self._copied_packets(source, sounds, others)
        packets = heapq.merge(self._video_packets(writer), copied, key=lambda each: each[:2])
        for _, _, packet in packets:
            output.mux(packet)
        self._finish_sounds(sounds, output)
        self._notes += others.notes

    def _encoder(self, info: StreamInfo) -> str:
        return self._encoding.applied_to(self._kind, info, "", lambda note: None, here=False).encoder

    def _finish_sounds(self, sounds: dict[int, SoundTrack], output: OutputContainer) -> None:
        for track in sounds.values():
            for packet in track.rest():
                output.mux(packet)
        if left_out := sum(track.left_out for track in sounds.values()):
            self._notes.append(f"{left_out} damaged packets of the sound are left out")

    def _add_video(self, output: OutputContainer) -> VideoWriter:
        """Adds the video as our own segments describe it; copied ones may be described otherwise."""
        looks = [Look.at(each.path) for each in self._videos]
        ours = [look for look, each in zip(looks, self._videos, strict=True) if not each.copied] or looks
        if any(look.header != ours[0].header for look in ours):
            raise JoinError(
                f"{self._file.name}: its segments were written by different encoders; remove the "
                "job's folder and run the command again with one version on all machines"
            )
        path = self._videos[looks.index(ours[0])].path
        with open_video(path) as first:
            template = first.streams.video[0]
            # PyAV wants an encoder of the decoder's name, which that of AV1 (libdav1d) has not.
            opaque = template.codec_context.codec.canonical_name == "av1"
            video = output.add_stream_from_template(template, opaque=opaque)
            video.time_base = template.time_base
            if (rate := template.average_rate) is not None:
                video.codec_context.framerate = rate
        mixed = any(look.header != ours[0].header for look in looks)
        if mixed and self._kind.format in _AVC3:
            video.codec_context.codec_tag = "avc3"
        delay = max(look.delay for look in looks) if self._kind.keeps_time else 0
        return VideoWriter(video, ours[0], delay, mixed)

    def _video_packets(self, writer: VideoWriter) -> Iterator[_Timed]:
        clock = DecodingClock(writer.delay, keeps_time=self._kind.keeps_time)
        for part in self._videos:
            # Twice: a recording without a place to cut is one segment, which may be larger than the memory.
            shown = [packet.pts or 0 for packet in _coded(part, writer)]
            for packet in clock.timed(_coded(part, writer), shown, part.start - self._begin):
                packet.stream = writer.stream
                yield (packet.dts or 0) * packet.time_base, 0, packet

    def _add_sounds(self, info: StreamInfo, output: OutputContainer) -> dict[int, SoundTrack]:
        """Index of an audio stream in the source -> its track; one that no way can hold is left out."""
        tracks = {}
        for stream in info.sound:
            samples = info.sound_samples.get(stream.index, ())
            try:
                track = SoundTrack(output, self._kind, stream, samples)
            except ValueError:
                self._notes.append(f"not kept: the sound ({stream.codec_context.name})")
                continue
            tracks[stream.index] = track
            if track.note:
                self._notes.append(track.note)
        return tracks

    def _copied_packets(
        self, source: InputContainer, sounds: dict[int, SoundTrack], others: OtherStreams
    ) -> Iterator[_Timed]:
        """The packets of all other streams, in the order of their decoding."""
        streams = [*(source.streams[index] for index in sounds), *others.sources]
        for packet in demuxed(source, *streams) if streams else ():
            if not packet.size:
                continue
            if is_cover(packet.stream):
                packet.pts = packet.dts = 0  # a cover has no time
            else:
                _shift(packet, self._begin)
            if packet.dts is None:
                continue
            time, index = packet.dts * packet.time_base, packet.stream.index
            if index in sounds:
                for coded in sounds[index].coded(cast("SoundPacket", packet)):
                    yield time, 1, coded
            elif others.redirect(packet):
                yield time, 1, packet


def _shift(packet: "Packet[Any]", begin: Fraction) -> None:
    """Makes the timestamps of a packet relative to a beginning in seconds."""
    ticks = round(begin / packet.time_base)
    packet.pts, packet.dts = (None if at is None else at - ticks for at in (packet.pts, packet.dts))


def _coded(part: Part, writer: VideoWriter) -> "Iterator[Packet[Any]]":
    """The packets of a segment as they are written, but for their times."""
    with open_video(part.path) as segment:
        stream = segment.streams.video[0]
        packets = (each for each in segment.demux(stream) if each.size)
        yield from with_parameter_sets(packets, stream, writer.template) if writer.mixed else packets


def count_packets(path: Path) -> int:
    """Frames of a video, counted without decoding.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        with open_video(path) as container:
            return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    except (av.FFmpegError, IndexError) as error:
        raise UserError(f"{path}: the joined video cannot be read: {error}") from error
