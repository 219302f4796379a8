"""The resolution that a picture file states, by which programs print it."""

import struct
from collections.abc import Iterator

from granet.data.image_chunks import (
    JPEG,
    PNG,
    TiffDirectory,
    is_tiff,
    jpeg_segments,
    png_chunks,
    tiff_directories,
)

_JFIF = b"JFIF\0"
_PER_METRE = {1: 1 / 0.0254, 2: 100.0}
"""Unit of JFIF -> dots per metre in a dot per inch or per centimetre."""

_X, _Y, _UNIT = 282, 283, 296
_RATIONAL = 5
_INCH = 2
_BMP_PLACE, _BMP_END = 38, 46


def dots_per_metre(data: bytes) -> tuple[int, int] | None:
    """Horizontal and vertical dots per metre of a JPEG, PNG, TIFF or BMP file; ``None`` without both."""
    found = next(_stated(data), None)
    if found is None:
        return None
    x, y = (round(value) for value in found)
    return (x, y) if 0 < x < 2**31 and 0 < y < 2**31 else None


def _stated(data: bytes) -> Iterator[tuple[float, float]]:
    if data.startswith(JPEG):
        for marker, at, size in jpeg_segments(data):
            if marker == 0xE0 and size >= 12 and data.startswith(_JFIF, at) and data[at + 7] in _PER_METRE:
                x, y = struct.unpack_from(">HH", data, at + 8)
                yield x * _PER_METRE[data[at + 7]], y * _PER_METRE[data[at + 7]]
    elif data.startswith(PNG):
        for name, at, size in png_chunks(data):
            if name == b"pHYs" and size == 9 and data[at + 8] == 1:
                yield struct.unpack_from(">II", data, at)
    elif is_tiff(data) and (directory := next(tiff_directories(data), None)) is not None:
        yield from _stated_in_tiff(directory)
    elif data[:2] == b"BM" and len(data) >= _BMP_END:
        yield struct.unpack_from("<ii", data, _BMP_PLACE)


def _stated_in_tiff(directory: TiffDirectory) -> Iterator[tuple[float, float]]:
    unit = directory.number(_UNIT) or _INCH
    values = []
    for tag in (_X, _Y):
        field = directory.fields.get(tag)
        if field is None or field.kind != _RATIONAL or unit - 1 not in _PER_METRE:
            return
        above, below = struct.unpack_from("<II" if directory.order == "little" else ">II", field.value)
        values.append(above / below * _PER_METRE[unit - 1] if below else 0.0)
    yield values[0], values[1]
