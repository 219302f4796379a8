"""Recognises the packet that FFmpeg kept back and hands out when a live stream has stopped."""

from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

_PAUSE = 1.0
"""Seconds of silence, at least, before a packet can be late."""


class LatePackets:
    """Finds packets that are as old as the silence before them.

    A parser holds the latest packet until the next one begins. If nothing comes, FFmpeg hands it out when the
    read fails or the connection ends: seconds later, and as if the stream had come back. Its time in the
    stream follows its predecessor's, while the clock has moved on.
    """

    def __init__(self) -> None:
        self._last: Fraction | None = None
        self._was_late = False

    def is_late(self, packet: "Packet[Stream]", waited: float) -> bool:
        """Whether the packet is older than its arrival, so that it shows nothing new.

        Never twice in a row: a slow camera may have useless timestamps.

        Args:
            packet: a packet of the video; an empty one ends the stream, and its frames are as old as the last
                packet.
            waited: seconds that the read took.
        """
        if not packet.size:
            return self._was_late or waited >= _PAUSE
        now = None if packet.pts is None or not packet.time_base else packet.pts * packet.time_base
        last, self._last = self._last, now
        if now is None or last is None or waited < _PAUSE or self._was_late:
            self._was_late = False
            return False
        self._was_late = 0 <= now - last < waited / 2
        return self._was_late
