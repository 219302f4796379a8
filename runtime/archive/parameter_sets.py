"""H.264 parameter sets, which say how a video was encoded: in the header of a file, or before key frames.

A file has one header. Where a part of a video has other parameter sets than the rest, they are written before
its key frames (ISO/IEC 14496-15: sample entry ``avc3``). The layout of the header, ``avcC``, is in 5.3.3.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_IDR = 5
"""Type of a slice of a picture before which a decoder may start with new parameter sets."""


@dataclass(frozen=True)
class ParameterSets:
    """The header of an H.264 stream.

    Attributes:
        units: sequence and picture parameter sets, in order.
        length_bytes: bytes of the length before each unit of a packet; 0 if start codes separate the units.
    """

    units: tuple[bytes, ...]
    length_bytes: int

    @classmethod
    def of(cls, header: bytes) -> "ParameterSets":
        """Parses the ``extradata`` of a stream: ``avcC``, or units after start codes.

        Raises:
            ValueError: if it is neither.
        """
        if header[:1] != b"\x01":
            return cls(tuple(_after_start_codes(header)), 0)
        if len(header) < 7:
            raise ValueError("the header of the H.264 stream is too short")
        units: list[bytes] = []
        at = 5
        for mask in (0x1F, 0xFF):  # sequence parameter sets, then picture parameter sets
            count, at = header[at] & mask, at + 1
            for _ in range(count):
                end = at + 2 + int.from_bytes(header[at : at + 2], "big")
                if end > len(header):
                    raise ValueError("the header of the H.264 stream is too short")
                units.append(header[at + 2 : end])
                at = end
        return cls(tuple(units), (header[4] & 3) + 1)

    def units_of(self, packet: bytes) -> Iterator[bytes]:
        """The units of a packet of this stream.

        Raises:
            ValueError: if the packet is cut off.
        """
        if not self.length_bytes:
            yield from _after_start_codes(packet)
            return
        at = 0
        while at < len(packet):
            end = at + self.length_bytes + int.from_bytes(packet[at : at + self.length_bytes], "big")
            if end > len(packet):
                raise ValueError("a packet of the H.264 stream is cut off")
            yield packet[at + self.length_bytes : end]
            at = end

    def starts_anew(self, packet: bytes) -> bool:
        """Whether a decoder may start with this packet and new parameter sets."""
        return any(unit[0] & 31 == _IDR for unit in self.units_of(packet) if unit)

    def rewritten(self, packet: bytes, length_bytes: int, *, is_key: bool) -> bytes:
        """A packet for a file with another header; a key frame gets the parameter sets.

        Args:
            packet: of this stream.
            length_bytes: of the file.
            is_key: whether it is a key frame.
        """
        units = [*(self.units if is_key else ()), *self.units_of(packet)]
        return b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in units)


def _after_start_codes(data: bytes) -> Iterator[bytes]:
    """The units between start codes of three or four bytes; a unit never ends with a zero."""
    return (unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:])
