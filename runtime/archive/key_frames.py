"""Cut a video into segments at its key frames, without decoding it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from granet.errors import UserError
from runtime.archive.video_file import name_of, open_video, read_video
from runtime.media.demuxing import LATE, demuxed
from runtime.sources.base import StreamInfo
from runtime.sources.url import Address
from runtime.sources.video.span import Span
from runtime.sources.video.stream_info import video_stream
from runtime.sources.video.truncation import guessed_end


@dataclass(frozen=True)
class Segment:
    """A part of a video.

    Attributes:
        span: timestamps of the part.
        frames: video packets in it: the expected number of frames.
    """

    span: Span
    frames: int


@dataclass(frozen=True)
class VideoIndex:
    """The facts about a video that planning needs.

    Attributes:
        segments: the segments in order; together they hold every frame once.
        seconds: duration of the video.
        info: what is known of the video before its frames are read.
        notes: properties of the video that its result will not keep.
    """

    segments: tuple[Segment, ...]
    seconds: float
    info: StreamInfo
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the first frame, upright."""
        assert self.info.size is not None  # every video has one
        return self.info.size


def index_video(video: Path | Address, seconds: float) -> VideoIndex:
    """Cuts a video into segments of at least ``seconds``, each of which begins with a key frame.

    A key frame is a place to cut if every earlier packet of the file is shown before it. A video without
    timestamps, or whose timestamps repeat or jump back, becomes one segment.

    Args:
        video: the video.
        seconds: shortest length of a segment but the last.

    Raises:
        UserError: if the file is not a video, or its first frame cannot be decoded.
    """
    notes: list[str] = []
    name = name_of(video)
    with read_video(video, notes.append) as source:
        info = source.info
    try:
        with open_video(video) as container:
            stream = video_stream(container, name)
            cutter = _Cutter(seconds, stream.time_base or Fraction(1, 90_000))
            # AVI has no timestamps. FFmpeg guesses them, and guesses wrong where frames are reordered.
            if container.format.name == "avi" and stream.codec_context.has_b_frames:
                cutter.never_cut()
            position = 0
            for packet in demuxed(container, stream, late=lambda: notes.append(f"{name}: {LATE}")):
                position = max(position, (packet.pos or 0) + packet.size)
                if packet.size and not packet.is_discard:
                    cutter.add(packet.pts, packet.duration or 0, is_key=packet.is_keyframe)
    except av.FFmpegError as error:
        raise UserError(f"{name}: cannot be read to its end: {error.strerror}") from error
    missing, left_out = guessed_end(video if isinstance(video, Path) else None, position)
    notes += [f"{name}: may be truncated: {missing}"] if missing else []
    notes += [f"{name}: {left_out}"] if left_out else []
    return VideoIndex(cutter.segments(), cutter.seconds(), info, tuple(notes))


class _Cutter:
    """Collects the packets of one video in the order of the file."""

    def __init__(self, seconds: float, time_base: Fraction) -> None:
        self._least = max(1, round(Fraction(seconds) / time_base))
        self._time_base = time_base
        self._cuts: list[tuple[int, int]] = []
        """(timestamp, timestamp of the key frame before it) of each cut."""
        self._counts = [0]
        self._start: int | None = None
        self._first: int | None = None
        self._highest: int | None = None
        self._end = 0
        self._last_key: int | None = None
        self._before_last_key: int | None = None
        self._group: set[int] = set()
        """Timestamps since the last key frame."""
        self._group_before: set[int] = set()
        self._untimed = False

    def never_cut(self) -> None:
        """Makes one segment of the video."""
        self._untimed = True

    def add(self, pts: int | None, duration: int, *, is_key: bool) -> None:
        """Adds a packet that holds a frame."""
        if pts is None:
            self._untimed = True
            self._counts[-1] += 1
            return
        if is_key:
            self._cut(pts)
            self._before_last_key, self._last_key = self._last_key, pts
            self._group_before, self._group = self._group, set()
        self._check_order(pts)
        # Frames that are shown before the key frame but stored after it belong to the previous segment.
        is_leading = bool(self._cuts) and pts < self._cuts[-1][0]
        self._counts[-2 if is_leading else -1] += 1
        self._start = pts if self._start is None else self._start
        self._first = pts if self._first is None else min(self._first, pts)
        self._highest = pts if self._highest is None else max(self._highest, pts)
        self._end = max(self._end, pts + duration)

    def segments(self) -> tuple[Segment, ...]:
        """The segments; one without bounds if the timestamps cannot be trusted."""
        if self._untimed or not self._cuts:
            return (Segment(Span(), sum(self._counts)),)
        starts = [None, *(cut for cut, _ in self._cuts)]
        seeks = [None, *(seek for _, seek in self._cuts)]
        ends = [*starts[1:], None]
        spans = [Span(*bounds) for bounds in zip(starts, ends, seeks, strict=True)]
        return tuple(Segment(span, count) for span, count in zip(spans, self._counts, strict=True))

    def seconds(self) -> float:
        """Duration of the video."""
        return float((self._end - (self._first or 0)) * self._time_base)

    def _check_order(self, pts: int) -> None:
        """Timestamps that repeat or jump back are corrected by earlier ones, so no cut is safe."""
        is_repeated = pts in self._group or pts in self._group_before
        if is_repeated or (self._before_last_key is not None and pts < self._before_last_key):
            self._untimed = True
        self._group.add(pts)

    def _cut(self, pts: int) -> None:
        if self._start is None or self._highest is None or self._last_key is None:
            return
        if pts > self._highest and pts - self._start >= self._least:
            self._cuts.append((pts, self._last_key))
            self._counts.append(0)
            self._start = pts
