"""Picture files that hold several pictures: their number, and each as a file of its own."""

import re

from granet.data.image_chunks import (
    END_OF_IMAGE,
    JPEG,
    PNG,
    PNM_GAP,
    START_OF_SCAN,
    is_tiff,
    is_webp,
    jpeg_segments,
    png_chunks,
    tiff_directories,
    webp_chunks,
)
from granet.data.tiff_pages import tiff_pages, with_page_first

_NETPBM = re.compile(rb"\s*P([456])" + 2 * (PNM_GAP + rb"(\d{1,9})"))
_MAXIMUM = re.compile(PNM_GAP + rb"(\d{1,5})\s")

_VIDEO = re.compile(rb"\0\0\0[\x08-\x40]ftyp(?:mp4|iso|qt  |M4V|avc1|hvc1)")
"""The first box of an MP4 or QuickTime file, which phones append to a photograph."""

_NEXT_JPEG = re.compile(re.escape(END_OF_IMAGE) + rb"\0*" + re.escape(JPEG) + b"\xff")
"""The end of a picture, and the start of another one."""

_MULTI_PICTURE = b"MPF\0"
_MP_COUNT = 0xB001
"""Tag of CIPA DC-007: the number of pictures in a JPEG file."""


def is_animated(data: bytes) -> bool:
    """Whether a WebP, PNG or AVIF holds several frames."""
    if is_webp(data):
        return sum(name == b"ANMF" for name, _, _ in webp_chunks(data)) > 1
    if data.startswith(PNG):
        names = [name for name, _, _ in png_chunks(data)]
        # The number in acTL may be wrong; a file without the frames is one picture.
        return b"acTL" in names and names.count(b"fcTL") > 1
    return data[4:12] == b"ftypavis"


def pages_in(data: bytes) -> int:
    """Number of pages of a TIFF, or of pictures in a PBM, PGM or PPM; 1 for any other file."""
    return max(1, len(tiff_pages(data)) if is_tiff(data) else len(_netpbm_parts(data)))


def page(data: bytes, index: int) -> bytes:
    """The file with its page ``index``, from 0, as the first; a thumbnail in front of it is no page."""
    if is_tiff(data):
        return with_page_first(data, index)
    parts = _netpbm_parts(data)
    return data[slice(*parts[index])] if len(parts) > 1 else data


def has_more_in_jpeg(data: bytes) -> bool:
    """Whether a JPEG holds more: the other view of a stereo pair, a gain map, the video of a motion photo.

    Or the next pictures, if somebody joined several files.
    """
    if not data.startswith(JPEG):
        return False
    if _VIDEO.search(data, data.find(END_OF_IMAGE)):
        return True
    for marker, at, size in jpeg_segments(data):
        if marker == START_OF_SCAN and _NEXT_JPEG.search(data, at):
            return True
        if marker == 0xE2 and data.startswith(_MULTI_PICTURE, at):
            index = next(tiff_directories(data[at + len(_MULTI_PICTURE) : at + size]), None)
            return index is not None and (index.number(_MP_COUNT) or 1) > 1
    return False


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
