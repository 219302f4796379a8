"""Decode a part of a video: seek to a key frame, then drop the frames outside the part."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

_MARGIN = 10
"""Seconds, more than any decoder delays a frame."""


@dataclass(frozen=True)
class Span:
    """A part of a video, by presentation timestamps in units of the stream's time base.

    Attributes:
        start: timestamp of the first frame; ``None`` for the first frame of the video.
        end: timestamp after the last frame; ``None`` for the end of the video.
        seek: timestamp where decoding begins; a key frame before ``start`` lets open groups of pictures and
            gradual refresh settle. ``None`` for ``start``.
    """

    start: int | None = None
    end: int | None = None
    seek: int | None = None


def frames_within(
    span: Span, container: InputContainer, stream: VideoStream, decoded: Callable[[], Iterator[av.VideoFrame]]
) -> Iterator[av.VideoFrame]:
    """The frames of a part, in order.

    Decoding goes on beyond the end until a later frame appears, because the last frames may depend on it.
    If the demuxer seeks too far, which the format MPEG-TS cannot exclude, decoding begins at the start of
    the video.

    Args:
        span: the part.
        container: container of the video, opened and not yet read.
        stream: its video stream.
        decoded: decodes from the current position of the container.
    """
    yield from _until(span.end, _from(span, container, stream, decoded))


def _from(
    span: Span, container: InputContainer, stream: VideoStream, decoded: Callable[[], Iterator[av.VideoFrame]]
) -> Iterator[av.VideoFrame]:
    if span.start is None:
        yield from decoded()
        return
    target = span.start if span.seek is None else span.seek
    with suppress(av.FFmpegError):  # what cannot seek is read from its beginning
        container.seek(target, stream=stream, backward=True)
    frames = decoded()
    first = next(frames, None)
    if first is None or first.pts is None or first.pts > span.start:
        with suppress(av.FFmpegError):
            container.seek(_before(stream), stream=stream, backward=True)
        frames = decoded()
        first = next(frames, None)
    if first is not None and _is_from(first, span.start):
        yield first
    for frame in frames:
        if _is_from(frame, span.start):
            yield frame


def _before(stream: VideoStream) -> int:
    """A timestamp before the first packet: MPEG-TS seeks by decoding times, which precede those of frames."""
    return (stream.start_time or 0) - math.ceil(_MARGIN / (stream.time_base or Fraction(1, 90_000)))


def _is_from(frame: av.VideoFrame, start: int) -> bool:
    return frame.pts is not None and frame.pts >= start


def _until(end: int | None, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    for frame in frames:
        if end is not None and frame.pts is not None and frame.pts >= end:
            return
        yield frame
