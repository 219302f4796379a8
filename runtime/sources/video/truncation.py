"""Detect truncated video files by the sizes stated in their containers.

Decoders conceal a missing end: they repeat or smear the last picture, and the output looks complete. MP4
and QuickTime, Matroska and WebM, and AVI state the sizes of their chunks.
"""

from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MP4_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}


def missing_bytes(path: Path) -> int:
    """Number of bytes missing from the file at ``path``; 0 if it is complete or its size is unknown.

    Raises:
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == _EBML:
            end = _end_of_matroska(file)
        elif head[:4] == b"RIFF":
            end = _end_of_chunks(file, size, order="little")
        elif head[4:8] in _MP4_FIRST:
            end = _end_of_chunks(file, size, order="big")
        else:
            return 0
    return max(0, end - size)


def _end_of_chunks(file: BinaryIO, size: int, order: str) -> int:
    """Stated end of the last top-level RIFF chunk (little endian) or MP4 box (big endian), in bytes."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        if order == "little":
            length = int.from_bytes(head[4:8], "little")
            if head[:4] != b"RIFF" or length == 0:
                return at
            at += 8 + length + length % 2
            continue
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return at
        at += length
    # Fewer than 8 trailing bytes are ignored: they may be padding.
    return at


def _end_of_matroska(file: BinaryIO) -> int:
    """Stated end of the segment in bytes; 0 if its size was never written (a live recording)."""
    file.seek(4)
    header = _variable_size(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length = _variable_size(file)
    return 0 if length is None else file.tell() + length


def _variable_size(file: BinaryIO) -> int | None:
    """Reads an EBML variable-size integer; ``None`` if all its bits are set, which means unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    mask = (1 << (7 * (extra + 1))) - 1
    value = int.from_bytes(first + file.read(extra), "big") & mask
    return None if value == mask else value
