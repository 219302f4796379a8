"""Strictly increasing timestamps for sound packets, as muxers require."""

import math
from fractions import Fraction

from runtime.sources.base import SoundPacket


class SoundSpacing:
    """Moves the packets of one stream behind their predecessors where their timestamps do not increase."""

    def __init__(self) -> None:
        self._last: tuple[Fraction, int] | None = None
        """Time of the last packet in the source, in seconds, and in the output, in its time base."""

    def apply(self, packet: SoundPacket, tick: Fraction | None) -> None:
        """Changes the timestamps of ``packet`` if necessary.

        Args:
            packet: the next packet.
            tick: time base of the output stream, once its header is written.
        """
        base = packet.time_base
        if packet.dts is None or not tick or not base:
            return
        time, duration = packet.dts * base, round((packet.duration or 0) * base / tick)
        at = math.floor(time / tick + Fraction(1, 2))
        if self._last is not None and at <= self._last[1]:
            # Close together; or repeated, or from an earlier time, as all that follows in joined recordings.
            is_close = time > self._last[0] and at >= self._last[1] - duration
            at = self._last[1] + (1 if is_close else max(1, duration))
            packet.time_base, packet.duration = tick, duration
            packet.pts = packet.dts = at
        self._last = time, at
