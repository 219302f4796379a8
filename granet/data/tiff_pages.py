"""The pages of a TIFF file; a thumbnail or a mask in it is no page."""

from granet.data.image_chunks import TiffDirectory, is_tiff, tiff_directories

_SUBFILE = 254
_REDUCED, _MASK = 1, 4
"""Bits of a directory that holds no page: a smaller version or the transparency of another one."""


def tiff_pages(data: bytes) -> list[TiffDirectory]:
    """The directories of the pages; none in a file that is damaged or not a TIFF."""
    directories = list(tiff_directories(data))
    return [d for d in directories if not (d.number(_SUBFILE) or 0) & (_REDUCED | _MASK)] or directories[:1]


def with_page_first(data: bytes, index: int = 0) -> bytes:
    """A TIFF file that starts with its page ``index``, from 0; any other file as it is.

    Cameras write a thumbnail in front of the picture, and OpenCV decodes what comes first.
    """
    if not is_tiff(data) or not (pages := tiff_pages(data)):
        return data
    size = 8 if data[2:4] in (b"+\0", b"\0+") else 4
    first = pages[index].at.to_bytes(size, pages[index].order)
    return data if data[size : 2 * size] == first else data[:size] + first + data[2 * size :]
