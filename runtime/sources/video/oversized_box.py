"""MP4 files in which the stated size of the media data covers the index behind it.

FFmpeg skips the media data as a whole and then finds no index, although every frame is there. Only media data
of less than 4 GiB is corrected.
"""

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from granet.app.input_file import open_regular
from runtime.sources.url import Address, SeekableFile

_TAIL = 64 * 2**20
"""Bytes at the end of the file that are searched for the index."""


def with_index(address: Address) -> Address:
    """The address of a local file; if its media data covers its index, with a corrected view of the file."""
    try:
        found = None if address.path is None else _index_behind(address.path)
    except OSError:
        return address
    if address.path is None or found is None:
        return address
    path, (data, index) = address.path, found

    def opened() -> SeekableFile:
        file = open_regular(path)
        file.seek(data)
        if file.read(4) == b"\0\0\0\1":
            corrected = _Corrected(file, data + 8, (index - data).to_bytes(8, "big"))
        else:
            corrected = _Corrected(file, data, (index - data).to_bytes(4, "big"))
        corrected.seek(0, 0)
        return corrected

    return replace(address, opener=opened)


class _Corrected:
    """A file with other bytes in one place. Not a memory map: a file that shrinks would end the process.

    Args:
        file: the file.
        at: place of the bytes.
        correct: what is read there.
    """

    def __init__(self, file: BinaryIO, at: int, correct: bytes) -> None:
        self._file, self._at, self._correct = file, at, correct

    def __del__(self) -> None:
        """Closes the file, which PyAV only lets go."""
        self._file.close()

    def read(self, size: int, /) -> bytes:
        start = self._file.tell()
        data = self._file.read(size)
        first, last = max(start, self._at), min(start + len(data), self._at + len(self._correct))
        if first >= last:
            return data
        correct = self._correct[first - self._at : last - self._at]
        return data[: first - start] + correct + data[last - start :]

    def seek(self, offset: int, whence: int, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _index_behind(path: Path) -> tuple[int, int] | None:
    """Places of the box with the media data and of the index in it; ``None`` if there is no such pair."""
    size, at = path.stat().st_size, 0
    with open_regular(path) as file:
        while at + 16 <= size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:], "big")
            if length < 8 or (head[4:8] != b"mdat" and at + length > size):
                return None
            if at + length > size:
                break
            at += length
        else:
            return None
        first = max(at + 16, size - _TAIL)
        file.seek(first)
        index = first + file.read(_TAIL).rfind(b"moov") - 4
        file.seek(max(0, index))
        head = file.read(16)
    fits = 16 <= int.from_bytes(head[:4], "big") <= size - index
    is_index = index > at and head[4:8] == b"moov" and head[12:] == b"mvhd" and fits
    return (at, index) if is_index and index - at < 2**32 else None
