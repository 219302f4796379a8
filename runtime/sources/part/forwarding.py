"""The base of sources that change another source."""

from collections import deque
from fractions import Fraction

from runtime.media.frame import Frame
from runtime.sources.base import SoundPacket, Source


class ForwardingSource(Source):
    """A source that reads another one, whose health it shares and which it closes.

    Args:
        source: the other source, whose frames have timestamps.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sound: deque[SoundPacket] = deque()
        """Sound that was taken from the other source."""
        self.info = source.info
        self.health = source.health

    def sound(self) -> list[SoundPacket]:
        """See :meth:`Source.sound`."""
        return [self._sound.popleft() for _ in range(len(self._sound))]

    def close(self) -> None:
        """Closes the other source."""
        self._source.close()


def time_of(frame: Frame) -> Fraction:
    """Time of a frame in seconds."""
    assert frame.pts is not None and frame.time_base is not None
    return frame.pts * frame.time_base


def times_of(packet: SoundPacket) -> tuple[Fraction, Fraction]:
    """Begin and end of a packet in seconds."""
    begin = (packet.pts or 0) * packet.time_base
    return begin, begin + (packet.duration or 0) * packet.time_base
