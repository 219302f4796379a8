"""Guess from the sizes stated in a container whether a video file is truncated.

MP4 and QuickTime, Matroska and WebM, and AVI state the sizes of their chunks; GIF and Ogg have an end mark. A
stated size may be wrong: a recorder that writes to a pipe leaves a placeholder, and other programs append
tags. So this is only a hint; decoding decides.
"""

from pathlib import Path
from typing import BinaryIO

from granet.app.input_file import open_regular

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MAGIC = 12
"""Bytes at the start of a file by which another file of its kind is known: their kind and their version."""
_MOST_REST, _MOST_END = 64 * 2**20, 2**17
_SHORT_TAIL = 4

_MP4_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_MP4_BOXES = _MP4_FIRST | {b"styp", b"moof", b"mfra", b"sidx", b"ssix", b"prft", b"emsg"}
_MP4_BOXES |= {b"meta", b"udta", b"uuid", b"pdin", b"meco", b"PICT"}
"""Boxes at the top level. Anything else is not a box but was appended to the file."""


def guessed_truncation(path: Path | None) -> str:
    """How much seems to be missing from the end of the file at ``path``, for display; empty if nothing."""
    try:
        missing = missing_bytes(path) if path is not None and path.is_file() else 0
    except OSError:
        return ""
    if path is None or not missing:
        return ""
    return f"{missing:,} of {missing + path.stat().st_size:,} bytes are missing"


def guessed_end(path: Path | None, position: int) -> tuple[str, str]:
    """What seems to be wrong behind the last packet that a demuxer returned.

    Args:
        path: the file; ``None`` for any other input.
        position: end of the last packet in bytes; 0 if unknown.

    Returns:
        (what is missing, what is left out), for display; empty if nothing.
    """
    try:
        if path is None or not position or not path.is_file():
            return "", ""
        with open_regular(path) as file:
            head = file.read(_MAGIC)
            file.seek(position)
            rest = file.read(_MOST_REST)
            file.seek(max(0, path.stat().st_size - _MOST_END))
            end = file.read(_MOST_END)
    except OSError:
        return "", ""
    return (
        "its end mark is missing" if _lacks_end_mark(head, end) else "",
        "a second video that was joined to it is left out; process it as a file of its own"
        if len(head) == _MAGIC and head in rest
        else "",
    )


def _lacks_end_mark(head: bytes, end: bytes) -> bool:
    """Whether a GIF ends without its trailer, or an Ogg file without the mark of a last page."""
    if head.startswith(b"GIF8"):
        return b";" not in end[-_SHORT_TAIL:]
    last = end.rfind(b"OggS")
    return head.startswith(b"OggS") and last >= 0 and not end[last + 5 : last + 6] > b"\3"


def missing_bytes(path: Path) -> int:
    """Number of bytes that seem to be missing from the end of the file at ``path``; 0 if none or unknown.

    Raises:
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    with open_regular(path) as file:
        head = file.read(12)
        if head[:4] == _EBML:
            end = _end_of_matroska(file)
        elif head[:4] == b"RIFF":
            end = _end_of_riff(file, size)
        elif head[4:8] in _MP4_FIRST:
            end = _end_of_boxes(file, size)
        else:
            return 0
    return max(0, end - size)


def _end_of_riff(file: BinaryIO, size: int) -> int:
    """Stated end of the last top-level RIFF chunk in bytes; large AVI files have several."""
    at = 0
    # Fewer than 8 trailing bytes are ignored: they may be padding.
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or length in (0, 2**32 - 1):
            return at
        at += 8 + length + length % 2
    return at


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Stated end of the last top-level MP4 box in bytes."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        # Size 0 means up to the end of the file; all bits set is a placeholder.
        if head[4:8] not in _MP4_BOXES or length < 8 or length >= 2**63:
            return at
        at += length
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
