"""When sound is heard: strictly increasing timestamps, as muxers require, and its distance to the picture."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from runtime.sources.base import SoundPacket

_UNNOTICED = Fraction(9, 100)
"""Seconds by which sound may be early before it is annoying (Recommendation ITU-R BT.1359, appendix 1)."""


def lost_offset(samples: Mapping[int, Sequence[SoundPacket]], first: Fraction, period: Fraction) -> str:
    """What a format without timestamps would lose, for display; empty if nobody would notice it.

    Args:
        samples: index of an audio stream -> its first packets.
        first: time of the first frame, in seconds.
        period: seconds between two frames, by which such a format may be wrong in any case.
    """
    for packets in samples.values():
        begin = next((each.pts * each.time_base for each in packets if each.pts is not None), first)
        if abs(begin - first) > _UNNOTICED + period:
            side = "after" if begin > first else "before"
            return f"the sound begins {float(abs(begin - first)):.1f} s {side} the picture"
    return ""


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
