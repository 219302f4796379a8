"""A file that is played again and again."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count

from runtime.media.frame import Colour, Frame
from runtime.sources.base import DecodedFrame, SoundPacket, Source
from runtime.sources.part.forwarding import ForwardingSource, time_of, times_of
from runtime.sources.sound_packets import assigned, copied
from runtime.sources.video.clock import BurstPacer


class LoopedSource(ForwardingSource):
    """The frames and the sound of a file, over and over; time goes on at each repetition.

    A repetition begins where the pictures and the sound of the one before have both ended. Chapters are
    left out.

    Args:
        first: the file, opened.
        again: opens it again.
        paced: whether frames are given in real time, not as fast as they are read.
    """

    def __init__(self, first: Source, again: Callable[[], Source], *, paced: bool) -> None:
        super().__init__(first)
        self._current, self._again = first, again
        self._closing = threading.Event()
        self._pacer = BurstPacer(self._closing) if paced else None
        info, chapters = first.info, len(first.info.chapters)
        lost = [info.left_behind, f"{chapters} chapters" if chapters else ""]
        self.info = replace(info, frames=None, chapters=(), left_behind=", ".join(filter(None, lost)))

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """See :meth:`Source.frames`."""
        numbers, offset = count(), Fraction(0)
        while not self._closing.is_set():
            played = _Round(self._current, offset)
            for frame in played.frames(colour):
                self._hear(played)
                if self._pacer is not None and not self._pacer.wait(time_of(frame)):
                    return
                yield replace(frame, index=next(numbers))
            self._hear(played)
            offset = played.next_offset
            if self._current is not self._source:
                self._current.close()
            self._current = self._again()

    def close(self) -> None:
        """Closes the file."""
        self._closing.set()
        self._current.close()
        super().close()

    def _hear(self, played: "_Round") -> None:
        # The packets of a file refer to its streams, which end with it; the first one stays open.
        self._sound += assigned(played.sound(), self._current.info.sound, self._source.info.sound)


class _Round:
    """One repetition; its times are ``offset`` seconds later than in the file."""

    def __init__(self, source: Source, offset: Fraction) -> None:
        self._source, self._offset = source, offset
        self._covered: tuple[Fraction, Fraction] | None = None
        """Begin and end in the file, of pictures and sound so far."""

    @property
    def next_offset(self) -> Fraction:
        """Offset of the next repetition."""
        begin, end = self._covered or (Fraction(0), Fraction(0))
        return self._offset + end - begin

    def frames(self, colour: Colour) -> Iterator[Frame]:
        for frame in self._source.frames(colour):
            duration = frame.duration if isinstance(frame, DecodedFrame) else 0
            base = frame.time_base or Fraction(1)
            begin = time_of(frame)
            self._covers(begin, begin + (duration * base or 1 / (self._source.info.rate or Fraction(25))))
            yield replace(frame, pts=(frame.pts or 0) + round(self._offset / base))

    def sound(self) -> list[SoundPacket]:
        packets = copied(self._source.sound())
        for packet in packets:
            self._covers(*times_of(packet))
            shift = round(self._offset / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
        return packets

    def _covers(self, begin: Fraction, end: Fraction) -> None:
        first, last = self._covered or (begin, end)
        self._covered = min(first, begin), max(last, end)
