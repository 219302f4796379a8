"""An object as a file that FFmpeg reads and seeks in, by ranged reads."""

from typing import Any

from granet.errors import UserError
from runtime.archive.storage.errors import telling

BLOCK = 4 << 20
"""Bytes of one ranged read."""

BLOCKS = 8
"""Blocks that one open file keeps: sound and pictures may lie far apart."""


class RangedFile:
    """A read-only file; at most ``BLOCK * BLOCKS`` bytes of it are in memory.

    FFmpeg may continue after an error in a read, so the first one is kept, and later reads report the end.

    Args:
        filesystem: of fsspec.
        path: the path in it.
        address: its address, for errors.

    Attributes:
        name: of the object; FFmpeg takes the suffix as a hint.
        failed: the first error.

    Raises:
        UserError: if it cannot be opened.
    """

    def __init__(self, filesystem: Any, path: str, address: str) -> None:
        self.name = path.rpartition("/")[2]
        self.failed: UserError | None = None
        self._address = address
        with telling(address):
            self._file = filesystem.open(
                path, "rb", block_size=BLOCK, cache_type="blockcache", cache_options={"maxblocks": BLOCKS}
            )

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none after an error.

        Raises:
            UserError: at the first error.
        """
        if self.failed is not None:
            return b""
        try:
            with telling(self._address):
                data: bytes = self._file.read(size)
        except UserError as error:
            self.failed = error
            raise
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place, as all files do."""
        place: int = self._file.seek(offset, whence)
        return place

    def tell(self) -> int:
        """The present place."""
        place: int = self._file.tell()
        return place

    def close(self) -> None:
        """Forgets the blocks."""
        self._file.close()
