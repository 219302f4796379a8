"""Copies of encoded sound packets for several sinks."""

from typing import cast

from av.packet import Packet

from runtime.sources.base import SoundPacket


def copied(packets: list[SoundPacket]) -> list[SoundPacket]:
    """Copies of the packets that keep the source's streams; muxers overwrite stream and timestamps."""
    return [_copy(packet) for packet in packets]


def _copy(packet: SoundPacket) -> SoundPacket:
    copy = cast("SoundPacket", Packet(bytes(packet)))
    copy.stream = packet.stream
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
    for data in packet.iter_sidedata():
        copy.set_sidedata(data)
    return copy
