"""Packets of joined segments get their times one after the other."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from av.packet import Packet

from runtime.archive.video_parts import DecodingClock

SHOWN = [0, 30, 10, 20, 40]
"""Presentation timestamps in the order of decoding."""


class Packets:
    """The packets of a segment; counts those that were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> "Iterator[Packet[Any]]":
        for index, pts in enumerate(SHOWN):
            packet: Packet[Any] = Packet(b"coded")
            packet.time_base, packet.pts, packet.dts = Fraction(1, 100), pts, 10 * index
            self.taken += 1
            yield packet


@pytest.mark.parametrize("keeps_time", [True, False])
def test_a_segment_is_not_held_in_memory(keeps_time: bool) -> None:
    packets = Packets()
    timed = DecodingClock(1, keeps_time=keeps_time).timed(iter(packets), SHOWN, Fraction(0))
    next(timed)
    assert packets.taken == 1
    assert len(list(timed)) == len(SHOWN) - 1


def test_decoding_times_go_on_across_a_border() -> None:
    clock = DecodingClock(1, keeps_time=True)
    made = [
        (each.pts, each.dts)
        for start in (Fraction(0), Fraction(1, 2))
        for each in clock.timed(iter(Packets()), SHOWN, start)
    ]
    assert [pts for pts, _ in made] == [0, 30, 10, 20, 40, 50, 80, 60, 70, 90]
    assert [dts for _, dts in made] == [-10, 0, 10, 20, 30, 40, 50, 60, 70, 80]


def test_a_segment_without_packets_has_none() -> None:
    assert list(DecodingClock(1, keeps_time=True).timed(iter(()), [], Fraction(0))) == []
