"""A segment in which it never rains, copied without encoding where the result can be joined."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from granet.app.console import Say
from granet.errors import UserError
from runtime.archive.parameter_sets import ParameterSets
from runtime.archive.plan import PlannedFile, PlannedSegment
from runtime.archive.storage.base import is_away
from runtime.archive.video_file import open_recording, read_recording
from runtime.archive.video_parts import decoding_times, delay_of
from runtime.live.dry_skipper import DRY_BELOW, EVERY
from runtime.media.demuxing import demuxed
from runtime.media.frame import Frame
from runtime.sinks.video.containers import VideoContainer, container_for
from runtime.sinks.video.encoding import Encoding
from runtime.sources.base import DecodedFrame, StreamInfo
from runtime.sources.video.stream_info import video_stream
from runtime.views.faint_rain import FAINT_BELOW, FRAMES, FaintRain
from runtime.views.rain_strength import block_strengths

_WITH_HEADER = {"mp4", "mov", "matroska"}
"""Formats in which the parameter sets of a segment may stand before its key frames."""


class _CannotCopyError(Exception):
    """Why a segment cannot be copied."""


def is_dry(file: PlannedFile, segment: PlannedSegment, looked: Callable[[], None]) -> bool:
    """Whether no measured frame of a segment shows rain, nor several together. The network is not used.

    ``looked`` is called for each frame that was looked at.

    Every fifth frame is measured, and more in a short segment.

    A segment that cannot be decoded counts as rainy: it is processed, and then the error is named.
    """
    return _look(file, segment, looked) is not None


def copy_dry(
    path: Path,
    file: PlannedFile,
    segment: PlannedSegment,
    encoding: Encoding,
    say: Say,
    looked: Callable[[], None],
) -> Fraction | None:
    """Copies the packets of a dry segment into a video of its own.

    They can be joined with segments that we encode if both are H.264 of one size, and if no frame of the
    segment needs a frame of another one.

    Args:
        path: the video to write.
        file: the recording.
        segment: the part of it.
        encoding: how the other segments are encoded.
        say: called with the reason if a dry segment cannot be copied.
        looked: called for each frame that was looked at.

    Returns:
        The time of its first frame in seconds; ``None`` if it was not copied.
    """
    look = _look(file, segment, looked)
    if look is None:
        return None
    kind = container_for(path.suffix).for_retries()
    try:
        kind = encoding.applied_to(kind, look.info, file.output, lambda note: None, here=False)
        _check_picture(file, look.first, kind)
        return _copy(path, file, segment, kind)
    except (_CannotCopyError, av.FFmpegError, ValueError) as reason:
        path.unlink(missing_ok=True)
        say(f"dry segments are encoded again: {reason}")
        return None


class _Look(NamedTuple):
    """A dry segment: its first frame, and the info of the recording."""

    first: Frame
    info: StreamInfo


def _look(file: PlannedFile, segment: PlannedSegment, looked: Callable[[], None]) -> _Look | None:
    """Looks at every frame that is measured; ``None`` if it rains."""
    look, faint = None, FaintRain()
    every = max(1, min(EVERY, segment.frames // FRAMES))
    try:
        with read_recording(file.path, lambda note: None, segment.span) as source:
            for frame in source.frames("bgr"):
                looked()
                look = _Look(frame, source.info) if look is None else look
                if frame.index % every == 0 and _rains(block_strengths(frame.pixels), faint):
                    return None
    except UserError as error:
        if is_away(error):
            raise
        return None
    return look


def _rains(blocks: NDArray[np.float32], faint: FaintRain) -> bool:
    """Whether a measured frame, or the latest ones together, show rain."""
    return faint.strength_with(blocks) >= FAINT_BELOW or float(np.median(blocks)) >= DRY_BELOW


def _check_picture(file: PlannedFile, first: Frame, kind: VideoContainer) -> None:
    if kind.format not in _WITH_HEADER or kind.encoder != "libx264":
        raise _CannotCopyError(f"{kind.format} with {kind.encoder} holds one kind of encoding")
    if first.pixels.shape[:2] != (file.height, file.width):
        raise _CannotCopyError("the video changes its size")
    if not isinstance(first, DecodedFrame) or first.native is None:
        raise _CannotCopyError("the video is turned, or its chroma is of another kind than the result's")
    if kind.pix_fmt and kind.pix_fmt != first.native.format.name.replace("yuvj", "yuv"):
        raise _CannotCopyError(f"the recording is not {kind.pix_fmt}")


def _copy(path: Path, file: PlannedFile, segment: PlannedSegment, kind: VideoContainer) -> Fraction:
    with open_recording(file.path) as source:
        stream = video_stream(source, file.name)
        if stream.codec_context.name != "h264":
            raise _CannotCopyError(f"the recording is {stream.codec_context.name}, the result h264")
        times = _checked_times(stream.codec_context.extradata or b"", file, segment)
        decoded = decoding_times(times, delay_of(times))
        with av.open(f"file:{path}", "w", format=kind.format, container_options=kind.muxer_options) as output:
            video = output.add_stream_from_template(stream)
            video.time_base = stream.time_base
            if stream.average_rate is not None:
                video.codec_context.framerate = stream.average_rate
            for (packet, _), dts in zip(_packets(file, segment), decoded, strict=False):
                packet.dts, packet.stream = dts, video
                output.mux(packet)
    return times[0] * (stream.time_base or Fraction(1))


def _checked_times(header: bytes, file: PlannedFile, segment: PlannedSegment) -> list[int]:
    """The presentation timestamps of a segment's packets, if they can be copied."""
    times: list[int] = []
    for packet, pts in _packets(file, segment):
        if not times and not ParameterSets.of(header).starts_anew(bytes(packet)):
            raise _CannotCopyError("a decoder cannot start at its key frames")
        times.append(pts)
    if not times or len(times) != segment.frames:
        raise _CannotCopyError(f"{segment.frames} frames were planned and {len(times)} found")
    return times


def _packets(file: PlannedFile, segment: PlannedSegment) -> "Iterator[tuple[Packet[Any], int]]":
    """The packets of a segment with their timestamps, read from the start where a search goes too far."""
    found = False
    for seek in (segment.start if segment.seek is None else segment.seek, None):
        with open_recording(file.path) as source:
            stream = video_stream(source, file.name)
            if seek is not None:
                source.seek(seek, stream=stream, backward=True)
            for each in _part(source, stream, segment):
                found = True
                yield each
        if found:
            return


def _part(
    source: InputContainer, stream: VideoStream, segment: PlannedSegment
) -> "Iterator[tuple[Packet[Any], int]]":
    """The packets of a part that begins and ends with groups of pictures that need no others."""
    begun = ended = False
    for packet in demuxed(source, stream):
        if not packet.size or packet.is_discard:
            continue
        if ended and packet.is_keyframe:
            return
        if packet.pts is None:
            raise _CannotCopyError("the video has frames without timestamps")
        if packet.is_keyframe:
            begun = begun or segment.start in (None, packet.pts)
            ended = begun and segment.end is not None and packet.pts >= segment.end
        least = segment.end if ended else segment.start
        if begun and least is not None and packet.pts < least:
            raise _CannotCopyError("frames after a key frame need those before it (open groups of pictures)")
        if begun and not ended:
            yield packet, packet.pts
