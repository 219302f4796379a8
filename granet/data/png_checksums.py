"""Checksums of PNG files. libpng would print each wrong one to stderr, past our own messages."""

import zlib

from granet.data.image_chunks import PNG, png_chunks

_ANCILLARY = 0x20
"""Bit of the first letter of a chunk that the picture does not need."""


def with_right_checksums(data: bytes) -> bytes | None:
    """The PNG without damaged chunks that the picture does not need; ``None`` if another one is damaged.

    Args:
        data: the whole file. Of any other format it is returned unchanged.
    """
    if not data.startswith(PNG):
        return data
    kept, behind, is_damaged = [data[: len(PNG)]], len(PNG), False
    for name, at, size in png_chunks(data):
        end = at + size
        if name == b"acTL" and b"fcTL" not in data:
            is_damaged = True  # frames that are not there; OpenCV would return a black one
        elif zlib.crc32(memoryview(data)[at - 4 : end]) == int.from_bytes(data[end : end + 4]):
            kept.append(data[at - 8 : end + 4])
        elif name[0] & _ANCILLARY:
            is_damaged = True
        else:
            return None
        behind = end + 4
    return b"".join((*kept, data[behind:])) if is_damaged else data
