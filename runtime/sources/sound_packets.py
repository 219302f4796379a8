"""Copies of sound packets, and the streams that they belong to."""

from collections.abc import Iterable, Sequence
from typing import Final, cast

from av.audio.stream import AudioStream
from av.packet import Packet

from runtime.sources.base import SoundPacket

_NEW_HEADER: Final = "new_extradata"


def copied(packets: Iterable[SoundPacket]) -> list[SoundPacket]:
    """Copies of the packets that keep the source's streams; muxers overwrite stream and timestamps."""
    return [_copy(packet) for packet in packets]


def without_new_headers(packets: Iterable[SoundPacket]) -> list[SoundPacket]:
    """The packets without new headers, which Matroska would write over the header of the file."""
    return [_copy(packet) if packet.has_sidedata(_NEW_HEADER) else packet for packet in packets]


def assigned(
    packets: list[SoundPacket], streams: Sequence[AudioStream], copies: Sequence[AudioStream]
) -> list[SoundPacket]:
    """Reassigns the packets to the ``copies`` of ``streams``, which may outlive them."""
    by_index = {stream.index: copy for stream, copy in zip(streams, copies, strict=True)}
    for packet in packets:
        packet.stream = by_index[packet.stream_index]
    return packets


def _copy(packet: SoundPacket) -> SoundPacket:
    copy = cast("SoundPacket", Packet(bytes(packet)))
    copy.stream = packet.stream
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
    for data in packet.iter_sidedata():
        if data.data_type != _NEW_HEADER:
            copy.set_sidedata(data)
    return copy
