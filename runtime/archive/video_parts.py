"""The parts of a joined video: how each is decoded, and when its frames are shown."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from av.packet import Packet

from runtime.archive.parameter_sets import ParameterSets
from runtime.archive.video_file import open_video


@dataclass(frozen=True)
class Part:
    """A segment with frames: its video, when its first frame is shown, and whether it is a copy."""

    path: Path
    start: Fraction
    copied: bool


@dataclass(frozen=True)
class Look:
    """The facts about a segment that joining needs before it is read.

    Attributes:
        header: FFmpeg's ``extradata``.
        time_base: of its timestamps.
        delay: most packets by which the decoding of a packet precedes its presentation.
    """

    header: bytes
    time_base: Fraction
    delay: int

    @classmethod
    def at(cls, path: Path) -> "Look":
        """Looks at a segment."""
        with open_video(path) as container:
            stream = container.streams.video[0]
            times = [packet.pts or 0 for packet in container.demux(stream) if packet.size]
            header = stream.codec_context.extradata or b""
            base = stream.time_base or Fraction(1, 1000)
        return cls(bytes(header), base, delay_of(times))


def delay_of(times: Sequence[int]) -> int:
    """Most packets by which decoding precedes presentation.

    Args:
        times: presentation timestamps in decoding order.
    """
    rank = {pts: place for place, pts in enumerate(sorted(times))}
    return max((place - rank[pts] for place, pts in enumerate(times)), default=0)


def decoding_times(times: Sequence[int], delay: int) -> list[int]:
    """Decoding timestamps for packets with these presentation timestamps, and ``delay`` more at the end."""
    shown = sorted(times)
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    return [*(shown[0] - step * (delay - place) for place in range(delay)), *shown]


@dataclass(frozen=True)
class VideoWriter:
    """The video of the result, which is described as ``template``; ``mixed`` if some parts differ from it."""

    stream: Any
    template: Look
    delay: int
    mixed: bool


def with_parameter_sets(
    packets: "Iterable[Packet[Any]]", stream: Any, template: Look
) -> "Iterator[Packet[Any]]":
    """The packets of a segment whose key frames say themselves how they are decoded."""
    own = ParameterSets.of(stream.codec_context.extradata or b"")
    length_bytes = ParameterSets.of(template.header).length_bytes
    ticks = stream.time_base / template.time_base
    for packet in packets:
        is_key = packet.is_keyframe
        copy: Packet[Any] = Packet(own.rewritten(bytes(packet), length_bytes, is_key=is_key))
        copy.is_keyframe, copy.time_base = is_key, template.time_base
        copy.pts, copy.dts = (None if at is None else round(at * ticks) for at in (packet.pts, packet.dts))
        copy.duration = round((packet.duration or 0) * ticks)
        yield copy


class DecodingClock:
    """Decoding timestamps of joined segments, as one encoder would have written them.

    The encoder of each segment moves its first decoding timestamps before the segment's start, where they
    would overlap with the segment before. So the n-th packet in file order is decoded at the
    (n - delay)-th presentation time, across the borders.

    Args:
        delay: packets by which decoding precedes presentation, the largest of all segments.
        keeps_time: whether the format stores timestamps; otherwise frames have numbers.
    """

    def __init__(self, delay: int, *, keeps_time: bool) -> None:
        self._delay, self._keeps_time = delay, keeps_time
        self._before: list[int] = []
        """The presentation timestamps that are not used yet; after the first segment ``delay`` of them."""
        self._origin: Fraction | None = None
        """Time of the first frame, which has the number 0."""

    def timed(
        self, packets: "Iterator[Packet[Any]]", shown: Sequence[int], start: Fraction
    ) -> "Iterator[Packet[Any]]":
        """The packets of the next segment with new timestamps, one after the other.

        Args:
            packets: in file order.
            shown: their presentation timestamps.
            start: when the first frame is shown, in seconds.
        """
        if (first := next(packets, None)) is None:
            return
        change = self._shown_at if self._keeps_time else self._numbered
        yield from change(chain([first], packets), first, shown, start)

    def _shown_at(
        self, packets: "Iterable[Packet[Any]]", first: "Packet[Any]", shown: Sequence[int], start: Fraction
    ) -> "Iterator[Packet[Any]]":
        shift = round(start / first.time_base) - min(shown)
        moved = [pts + shift for pts in shown]
        times = [*self._before, *sorted(moved)] if self._before else decoding_times(moved, self._delay)
        self._before = times[len(shown) :]
        for packet, pts, dts in zip(packets, moved, times, strict=False):
            packet.pts, packet.dts = pts, dts
            yield packet

    def _numbered(
        self, packets: "Iterable[Packet[Any]]", first: "Packet[Any]", shown: Sequence[int], start: Fraction
    ) -> "Iterator[Packet[Any]]":
        """Frames in presentation order, which a format without timestamps stores by their numbers."""
        self._origin = start if self._origin is None else self._origin
        shift = round((start - self._origin) / first.time_base) - (first.dts or 0)
        for packet in packets:
            packet.pts = packet.dts = (packet.dts or 0) + shift
            yield packet
