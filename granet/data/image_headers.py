"""Two checks of picture files that OpenCV lacks: the orientation and truncation.

OpenCV turns a picture upright only if it also drops its transparency, never an AVIF, and it decodes a
truncated JPEG into a picture with a gray bottom without an error.
"""

from granet.data.image_chunks import (
    END_OF_IMAGE,
    JPEG,
    ORIENTATION,
    PNG,
    START_OF_SCAN,
    is_webp,
    jpeg_segments,
    png_chunks,
    tiff_directories,
    webp_chunks,
)
from granet.data.image_items import item_orientation

_EXIF = b"Exif\0\0"


def orientation(data: bytes) -> int:
    """The orientation of a picture file as an EXIF number, 1 to 8; 1 if there is none.

    JPEG, PNG and WebP state it in EXIF; AVIF and HEIC in properties, which come before EXIF there. OpenCV
    applies that of TIFF itself.
    """
    block = exif_block(data)
    if block is None:
        return item_orientation(data)
    directory = next(tiff_directories(block), None)
    value = None if directory is None else directory.number(ORIENTATION)
    return value if value is not None and 1 <= value <= 8 else 1


def is_cut_short(data: bytes) -> bool:
    """Whether a JPEG or PNG file is truncated; ``False`` for any other file."""
    if data.startswith(JPEG):
        scan = next((at for marker, at, _ in jpeg_segments(data) if marker == START_OF_SCAN), None)
        # The thumbnail in the EXIF block has an end marker too: only one after the scan counts.
        return scan is None or data.find(END_OF_IMAGE, scan) < 0
    return data.startswith(PNG) and b"IEND" not in data[8:]


def exif_block(data: bytes) -> bytes | None:
    """The TIFF structure that holds the EXIF tags of a JPEG, PNG or WebP file; ``None`` without one."""
    if data.startswith(JPEG):
        found = ((at, size) for marker, at, size in jpeg_segments(data) if marker == 0xE1)
        blocks = (data[at : at + size] for at, size in found if data[at : at + 6] == _EXIF)
    elif data.startswith(PNG):
        blocks = (data[at : at + size] for name, at, size in png_chunks(data) if name == b"eXIf")
    elif is_webp(data):
        blocks = (data[at : at + size] for name, at, size in webp_chunks(data) if name == b"EXIF")
    else:
        return None
    block = next(blocks, None)
    return None if block is None else block.removeprefix(_EXIF)
