"""The metadata of a picture file, and the part of it that an output keeps."""

from dataclasses import dataclass

from runtime.media.colour_tags import UNSPECIFIED

_ORDINARY_PRIMARIES = (1, UNSPECIFIED, 5, 6, 7)
_ORDINARY_TRANSFERS = (1, UNSPECIFIED, 6, 13)
"""H.273 values of BT.709, BT.601 and sRGB: what viewers assume for an untagged picture."""

_GAMMA_OF_SRGB = range(45000, 45911)
"""1/2.2 in units of 1/100,000, give or take a percent."""
_CHROMATICITIES_OF_SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@dataclass(frozen=True)
class PictureMetadata:
    """Metadata of a picture.

    Attributes:
        icc: ICC profile; empty without one.
        exif: TIFF structure with the EXIF tags, for upright pixels; empty without one.
        colour_chunks: (name, payload) of PNG chunks on colours, such as ``cICP``.
        text: (name, payload) of PNG chunks with text.
        per_metre: horizontal and vertical dots per metre, for upright pixels; ``None`` if it is not stated.
    """

    icc: bytes = b""
    exif: bytes = b""
    colour_chunks: tuple[tuple[bytes, bytes], ...] = ()
    text: tuple[tuple[bytes, bytes], ...] = ()
    per_metre: tuple[int, int] | None = None

    @property
    def has_unusual_colours(self) -> bool:
        """Whether ``colour_chunks`` say anything else than sRGB."""
        return not all(_is_ordinary(name, payload) for name, payload in self.colour_chunks)


def cicp_chunk(primaries: int, transfer: int) -> tuple[tuple[bytes, bytes], ...]:
    """The PNG chunk for H.273 primaries and transfer; none for those that viewers assume anyway."""
    if primaries in _ORDINARY_PRIMARIES and transfer in _ORDINARY_TRANSFERS:
        return ()
    if max(primaries, transfer) > 255:
        return ()
    # RGB (matrix 0) in full range, the only values that PNG allows.
    return ((b"cICP", bytes([primaries, transfer, 0, 1])),)


def _is_ordinary(name: bytes, payload: bytes) -> bool:
    if name == b"sRGB":
        return True
    if name == b"gAMA":
        return int.from_bytes(payload, "big") in _GAMMA_OF_SRGB
    if name == b"cHRM":
        values = [int.from_bytes(payload[at : at + 4], "big") for at in range(0, 32, 4)]
        return all(abs(a - b) <= 100 for a, b in zip(values, _CHROMATICITIES_OF_SRGB, strict=True))
    if name == b"cICP" and len(payload) == 4:
        return payload[0] in _ORDINARY_PRIMARIES and payload[1] in _ORDINARY_TRANSFERS
    return False
