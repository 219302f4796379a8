"""Two checks of picture files that OpenCV lacks: the EXIF orientation and truncation.

OpenCV turns a picture upright only if it also drops its transparency, and it decodes a truncated JPEG into a
picture with a gray bottom without an error.
"""

import struct
from collections.abc import Iterator

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


def orientation(data: bytes) -> int:
    """The EXIF orientation of a JPEG, PNG or WebP file: 1 to 8, or 1 if there is none."""
    block = _exif_block(data)
    if block is None:
        return 1
    try:
        return _orientation_of_tiff(block)
    except struct.error:
        return 1


def is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG file is truncated; ``False`` for any other file."""
    if data.startswith(_JPEG):
        scan = next((at for marker, at, _ in _jpeg_segments(data) if marker == _START_OF_SCAN), None)
        # The thumbnail in the EXIF block has an end marker too: only one after the scan counts.
        return scan is None or data.find(_END_OF_IMAGE, scan) < 0
    return data.startswith(_PNG) and b"IEND" not in data[8:]


def _exif_block(data: bytes) -> bytes | None:
    """The TIFF structure that holds the EXIF tags."""
    if data.startswith(_JPEG):
        for marker, at, size in _jpeg_segments(data):
            if marker == 0xE1 and data[at : at + 6] == b"Exif\0\0":
                return data[at + 6 : at + size]
        return None
    for key, order in ((b"eXIf", ">"), (b"EXIF", "<")):
        if not (data.startswith(_PNG) if order == ">" else data[8:12] == b"WEBP"):
            continue
        at = data.find(key)
        if at < 0:
            return None
        # PNG stores the size before the name of a chunk, WebP after it.
        block = data[at + 4 :] if order == ">" else data[at + 8 :]
        return block.removeprefix(b"Exif\0\0")
    return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, start of the payload, its size) up to and including the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, size - 2
        if marker == _START_OF_SCAN:
            return
        at += 2 + size


def _orientation_of_tiff(block: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    for i in range(count):
        tag, _, _, value = struct.unpack_from(order + "HHIH", block, start + 2 + 12 * i)
        if tag == _ORIENTATION:
            return int(value) if 1 <= value <= 8 else 1
    return 1
