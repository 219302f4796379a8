"""The size that a picture file states, read before any of it is decoded.

A few kilobytes can state a picture of a thousand megapixels, and a decoder reserves its memory first. So this
module reads the size from the header of each format. A file of a format that it does not know is not decoded.
Where a file states several sizes (pages, tiles, frames), the largest counts: decoders differ in which one
they believe.
"""

import os
import re
import struct
from collections.abc import Iterator

from granet.data.image_chunks import JPEG, PNG, PNM_GAP, START_OF_SCAN, WITHOUT_LENGTH, is_tiff, is_webp
from granet.data.opencv_limits import PIXELS, size_of

MAX_PIXELS = size_of(os.environ.get(PIXELS, "")) or 2**27
"""Maximum number of pixels of a picture. OpenCV's own variable changes it, because it limits OpenCV too."""

Size = tuple[int, int]
"""(width, height) in pixels."""

_JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_CODESTREAM = b"\xff\x4f\xff\x51"
_END_OF_IMAGE = 0xD9
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_MOST_COMPONENTS = 4
_MOST_PAGES = 10_000
_PNM_HEAD = 2**16

_TIFF_SIDES = {256: 0, 257: 1, 322: 2, 323: 3}
"""Tag -> place of a side: ImageWidth, ImageLength, TileWidth, TileLength."""

_TIFF_INTEGERS = {1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4, 16: 8, 17: 8}
"""Type of an integer tag -> its size in bytes."""

_BOXES_WITH_BOXES = {
    b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0,
    b"stsd": 8, b"jp2h": 0,
}  # fmt: skip
"""Box of an ISO base media file -> bytes before the boxes in it."""


class UnknownPictureError(ValueError):
    """The header is damaged or of a format that is not decoded."""


def stated_pixels(data: bytes) -> int:
    """The number of pixels of the largest picture that a file states.

    Args:
        data: the whole file: JPEG, PNG, BMP, TIFF, WebP, AVIF, JPEG 2000, PNM or GIF.

    Raises:
        UnknownPictureError: if its header is damaged or of another format.
    """
    try:
        return max(width * height for width, height in _sizes(data))
    except (struct.error, ValueError) as error:  # a truncated header, or no size at all
        raise UnknownPictureError(str(error)) from error


def _sizes(data: bytes) -> Iterator[Size]:
    if data.startswith(JPEG):
        return _jpeg(data)
    if data.startswith(PNG):
        return _png(data)
    if data.startswith(b"BM"):
        return _bmp(data)
    if is_tiff(data):
        return _tiff(data)
    if is_webp(data):
        return _webp(data, 12, len(data))
    if data[4:8] == b"ftyp" or data.startswith(_JP2_SIGNATURE):
        return _boxes(data, 0, len(data))
    if data.startswith(_CODESTREAM):
        return _codestream(data, 0)
    if re.match(rb"P[1-6]\s", data):
        return _pnm(data)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return iter([struct.unpack_from("<HH", data, 6)])
    raise UnknownPictureError("an unknown format")


def _jpeg(data: bytes) -> Iterator[Size]:
    """Follows libjpeg, which skips bytes between segments, up to the first scan."""
    at = 2
    while True:
        at = data.index(b"\xff", at)
        marker = data[at + 1] if at + 1 < len(data) else START_OF_SCAN
        if marker in (START_OF_SCAN, _END_OF_IMAGE):
            return
        if marker in (0x00, 0xFF) or marker in WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2:
            raise UnknownPictureError("a segment of impossible size")
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            yield width, height
        at += 2 + length


def _png(data: bytes) -> Iterator[Size]:
    if data[12:16] != b"IHDR":
        raise UnknownPictureError("a PNG file without a header")
    yield struct.unpack_from(">II", data, 16)


def _bmp(data: bytes) -> Iterator[Size]:
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    yield abs(width), abs(height)


def _tiff(data: bytes) -> Iterator[Size]:
    order = "<" if data[:1] == b"I" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    seen: set[int] = set()
    while at and at not in seen:
        seen.add(at)
        if len(seen) > _MOST_PAGES:
            raise UnknownPictureError(f"more than {_MOST_PAGES} pages")
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
        entry, at = (20, at + 8) if big else (12, at + 2)
        if count * entry > len(data) - at:
            raise UnknownPictureError("a page that is truncated")
        sides = [0, 0, 0, 0]
        for i in range(count):
            tag, value = _tiff_entry(data, at + entry * i, order, big=big)
            if tag in _TIFF_SIDES:
                sides[_TIFF_SIDES[tag]] = max(sides[_TIFF_SIDES[tag]], value)
        yield sides[0], sides[1]
        yield sides[2], sides[3]
        (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, at + entry * count)


def _tiff_entry(data: bytes, at: int, order: str, *, big: bool) -> tuple[int, int]:
    """Tag and value of an entry; the value is 0 where it is not one of the sides."""
    tag, kind = struct.unpack_from(order + "HH", data, at)
    if tag not in _TIFF_SIDES:
        return tag, 0
    (count,) = struct.unpack_from(order + ("Q" if big else "I"), data, at + 4)
    length = _TIFF_INTEGERS.get(kind)
    if length is None or count != 1 or (length == 8 and not big):
        raise UnknownPictureError("a page with an unusual size")
    start = at + (12 if big else 8)
    return tag, int.from_bytes(data[start : start + length], "little" if order == "<" else "big")


def _webp(data: bytes, at: int, stop: int) -> Iterator[Size]:
    while at + 8 <= stop:
        name, (length,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        at += 8
        if name == b"VP8X":
            yield _three(data, at + 4) + 1, _three(data, at + 7) + 1
        elif name == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, at + 6)
            yield width & 0x3FFF, height & 0x3FFF
        elif name == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, at + 1)
            yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif name == b"ANMF":
            yield _three(data, at + 6) + 1, _three(data, at + 9) + 1
            yield from _webp(data, at + 16, min(stop, at + length))
        at += length + length % 2


def _three(data: bytes, at: int) -> int:
    if at + 3 > len(data):
        raise UnknownPictureError("a header that is truncated")
    return int.from_bytes(data[at : at + 3], "little")


def _boxes(data: bytes, at: int, stop: int, depth: int = 0) -> Iterator[Size]:
    """The sizes in the boxes of an AVIF or JPEG 2000 file."""
    if depth > len(_BOXES_WITH_BOXES):
        raise UnknownPictureError("boxes nested too deeply")
    while at + 8 <= stop:
        length, name, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = stop if length == 0 else at + length
        if not start <= end:
            raise UnknownPictureError("a box of impossible size")
        if name in _BOXES_WITH_BOXES:
            yield from _boxes(data, start + _BOXES_WITH_BOXES[name], min(stop, end), depth + 1)
        elif name == b"ispe":
            yield struct.unpack_from(">II", data, start + 4)
        elif name == b"av01":
            yield struct.unpack_from(">HH", data, start + 24)
        elif name == b"ihdr":
            height, width = struct.unpack_from(">II", data, start)
            yield width, height
        elif name == b"jp2c":
            yield from _codestream(data, start)
        at = end


def _codestream(data: bytes, at: int) -> Iterator[Size]:
    """The image and the tile of a JPEG 2000 codestream."""
    if data[at : at + 4] != _CODESTREAM:
        raise UnknownPictureError("a codestream without a size")
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", data, at + 8)
    (components,) = struct.unpack_from(">H", data, at + 40)
    if components > _MOST_COMPONENTS:
        raise UnknownPictureError(f"{components} components")
    width, height = max(0, right - left), max(0, bottom - top)
    yield width, height
    yield min(tile_width, width), min(tile_height, height)


def _pnm(data: bytes) -> Iterator[Size]:
    match = re.match(rb"P[1-6]" + PNM_GAP + rb"(\d{1,10})" + PNM_GAP + rb"(\d{1,10})\s", data[:_PNM_HEAD])
    if match is None:
        raise UnknownPictureError("a header without a size")
    yield int(match[1]), int(match[2])
