"""Iterate over the parts of picture files: JPEG segments, PNG and WebP chunks, TIFF directories, boxes.

All sizes come from the file. Every iterator stays within the data and ends where the file is damaged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

JPEG = b"\xff\xd8"
PNG = b"\x89PNG\r\n\x1a\n"

START_OF_SCAN = 0xDA
END_OF_IMAGE = b"\xff\xd9"
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
"""Markers of JPEG that are followed by no length."""

ORIENTATION = 0x0112
"""Tag of EXIF and TIFF: the orientation, 1 to 8."""

ICC_OF_JPEG = b"ICC_PROFILE\0"
"""Start of a segment of JPEG that holds a part of an ICC profile."""

PNM_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
"""White space and comments in the header of a PBM, PGM or PPM, as a regular expression."""

_TIFF_TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_TYPES |= {16: 8, 17: 8, 18: 8}
"""Type of a TIFF field -> bytes per value; the last three are those of BigTIFF."""


def is_webp(data: bytes) -> bool:
    """Whether ``data`` starts like a WebP file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def is_tiff(data: bytes) -> bool:
    """Whether ``data`` starts like a TIFF or BigTIFF file."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, start of the payload, its size) up to and including the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, size - 2
        if marker == START_OF_SCAN:
            return
        at += 2 + size


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, start of the payload, its size)."""
    at = len(PNG)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            return
        yield data[at + 4 : at + 8], at + 8, size
        at += 12 + size


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, start of the payload, its size)."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            return
        yield data[at : at + 4], at + 8, size
        at += 8 + size + size % 2


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yields (type, start of the payload, its end) of ISO/IEC 14496-12 boxes: AVIF, HEIC, JPEG 2000."""
    end = len(data) if end is None else end
    at = start
    while at + 8 <= end:
        size, payload = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, payload = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        following = end if size == 0 else at + size
        if following > end or following < payload:
            return
        yield data[at + 4 : at + 8], payload, following
        at = following


@dataclass(frozen=True)
class TiffField:
    """One field of a TIFF directory.

    Attributes:
        kind: number of its type.
        at: position of its values in the data.
        value: the bytes of all its values.
    """

    kind: int
    at: int
    value: bytes


@dataclass(frozen=True)
class TiffDirectory:
    """One picture of a TIFF file, or the tags of an EXIF block.

    Attributes:
        at: position of the directory in the data.
        order: byte order.
        fields: tag -> field.
    """

    at: int
    order: Literal["little", "big"]
    fields: Mapping[int, TiffField]

    def number(self, tag: int) -> int | None:
        """The first value of an integer field; ``None`` without the field."""
        field = self.fields.get(tag)
        return None if field is None else int.from_bytes(field.value[: _TIFF_TYPES[field.kind]], self.order)


def tiff_directories(data: bytes) -> Iterator[TiffDirectory]:
    """Yields the chained directories of a TIFF or BigTIFF file, or of an EXIF block."""
    if not is_tiff(data):
        return
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = data[2:4] in (b"+\0", b"\0+")
    word, count_size, entry = (8, 8, 20) if big else (4, 2, 12)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    at, seen = number(word, word), set[int]()
    # A chain that loops must not be followed for ever.
    while at and at not in seen and at + count_size <= len(data):
        seen.add(at)
        count = number(at, count_size)
        first, after = at + count_size, at + count_size + entry * count
        if after > len(data):
            return
        fields = {}
        for where in range(first, after, entry):
            kind = number(where + 2, 2)
            size = _TIFF_TYPES.get(kind, 0) * number(where + 4, word)
            value_at = where + 4 + word
            if size > word:
                value_at = number(value_at, word)
            if size and value_at + size <= len(data):
                fields[number(where, 2)] = TiffField(kind, value_at, data[value_at : value_at + size])
        yield TiffDirectory(at, order, fields)
        at = number(after, word)
