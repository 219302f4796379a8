"""The first seconds of a source, with their sound and chapters."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil

from runtime.media.frame import Colour, Frame
from runtime.sources.base import Source
from runtime.sources.chapters import chapters_between
from runtime.sources.part.forwarding import ForwardingSource, time_of, times_of

_SOUND_BEHIND = 3
"""Seconds beyond the end for which the sound before it is looked for; files store it near its pictures."""


class DurationSource(ForwardingSource):
    """The frames of the first ``seconds`` of a source, from its first frame, and the sound of that time."""

    def __init__(self, source: Source, seconds: Fraction) -> None:
        super().__init__(source)
        self._seconds = seconds
        self._heard_to: dict[int, Fraction] = {}
        """Index of an audio stream -> begin of its last packet."""
        info = source.info
        most = ceil(seconds * (info.rate or 1))
        self.info = replace(
            info,
            frames=most if info.frames is None else min(info.frames, most),
            chapters=chapters_between(info.chapters, Fraction(0), seconds),
        )

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """See :meth:`Source.frames`."""
        end: Fraction | None = None
        for frame in self._source.frames(colour):
            end = time_of(frame) + self._seconds if end is None else end
            self._hear(end)
            if time_of(frame) < end:
                yield frame
            elif self._has_sound_to(end) or time_of(frame) > end + _SOUND_BEHIND:
                return
        if end is not None:
            self._hear(end)

    def _hear(self, end: Fraction) -> None:
        for packet in self._source.sound():
            begin, _ = times_of(packet)
            self._heard_to[packet.stream_index] = begin
            if begin < end:
                self._sound.append(packet)

    def _has_sound_to(self, end: Fraction) -> bool:
        return all(self._heard_to.get(stream.index, end - 1) >= end for stream in self.info.sound)
