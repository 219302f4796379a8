"""Picture files that hold several pictures: their number, and each as a file of its own."""

import re

from granet.data.image_chunks import (
    END_OF_IMAGE,
    JPEG,
    PNG,
    PNM_GAP,
    TiffDirectory,
    is_tiff,
    is_webp,
    jpeg_segments,
    png_chunks,
    tiff_directories,
    webp_chunks,
)

_SUBFILE = 254
_REDUCED, _MASK = 1, 4
"""Bits of a TIFF directory that holds no page: a smaller version or the transparency of another one."""

_NETPBM = re.compile(rb"\s*P([456])" + 2 * (PNM_GAP + rb"(\d{1,9})"))
_MAXIMUM = re.compile(PNM_GAP + rb"(\d{1,5})\s")

_VIDEO = re.compile(rb"\0\0\0[\x08-\x40]ftyp(?:mp4|iso|qt  |M4V|avc1|hvc1)")
"""The first box of an MP4 or QuickTime file, which phones append to a photograph."""

_MULTI_PICTURE = b"MPF\0"
_MP_COUNT = 0xB001
"""Tag of CIPA DC-007: the number of pictures in a JPEG file."""


def is_animated(data: bytes) -> bool:
    """Whether a WebP, PNG or AVIF holds several frames."""
    if is_webp(data):
        return sum(name == b"ANMF" for name, _, _ in webp_chunks(data)) > 1
    if data.startswith(PNG):
        counts = (data[at : at + 4] for name, at, _ in png_chunks(data) if name == b"acTL")
        return int.from_bytes(next(counts, b""), "big") > 1
    return data[4:12] == b"ftypavis"


def pages_in(data: bytes) -> int:
    """Number of pages of a TIFF, or of pictures in a PBM, PGM or PPM; 1 for any other file."""
    return max(1, len(_pages(data)) if is_tiff(data) else len(_netpbm_parts(data)))


def page(data: bytes, index: int) -> bytes:
    """The file with its page ``index``, from 0, as the first."""
    if not is_tiff(data):
        start, end = _netpbm_parts(data)[index]
        return data[start:end]
    directory = _pages(data)[index]
    size = 8 if data[2:4] in (b"+\0", b"\0+") else 4
    return data[:size] + directory.at.to_bytes(size, directory.order) + data[2 * size :]


def has_more_in_jpeg(data: bytes) -> bool:
    """Whether a JPEG holds more: the other view of a stereo pair, a gain map, the video of a motion photo."""
    if not data.startswith(JPEG):
        return False
    if _VIDEO.search(data, data.find(END_OF_IMAGE)):
        return True
    for marker, at, size in jpeg_segments(data):
        if marker == 0xE2 and data.startswith(_MULTI_PICTURE, at):
            index = next(tiff_directories(data[at + len(_MULTI_PICTURE) : at + size]), None)
            return index is not None and (index.number(_MP_COUNT) or 1) > 1
    return False


def _pages(data: bytes) -> list[TiffDirectory]:
    directories = list(tiff_directories(data))
    return [d for d in directories if not (d.number(_SUBFILE) or 0) & (_REDUCED | _MASK)] or directories[:1]


def _netpbm_parts(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of each picture of a raw PBM, PGM or PPM, which may follow each other without end."""
    parts, at = list[tuple[int, int]](), 0
    while header := _NETPBM.match(data, at):
        kind, width, height = (int(group) for group in header.groups())
        start = header.end()
        if kind == 4:
            size = height * -(-width // 8)
            start += 1
        else:
            maximum = _MAXIMUM.match(data, start)
            if maximum is None:
                break
            start = maximum.end()
            size = height * width * (3 if kind == 6 else 1) * (2 if int(maximum[1]) > 255 else 1)
        parts.append((at, start + size))
        at = start + size
    return parts
