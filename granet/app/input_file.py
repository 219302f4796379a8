"""Opens and reads files that a user names, without waiting and without end.

``open`` waits for the writer of a named pipe, perhaps for ever, and reading a device such as /dev/zero never
ends. A file that is read whole must be a regular file of limited size: a file that somebody else wrote
decides neither how much memory it takes nor how long the read lasts.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from granet.errors import UserError

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file, or a symbolic link to one, for reading.

    Raises:
        UserError: if it is anything else, missing or unreadable. It never waits.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        # Opening a socket fails with words that do not say so.
        _refuse(path, _mode(path))
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        _refuse(path, os.fstat(descriptor).st_mode)
        if hasattr(os, "set_blocking"):
            os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def require_regular(path: Path) -> None:
    """Refuses a path that is there and is not a regular file, for libraries that open it by its name.

    Raises:
        UserError: says what it is instead.
    """
    _refuse(path, _mode(path))


def other_kind(path: Path) -> str | None:
    """``a directory``, ``a named pipe`` and so on; ``None`` for a regular file and for nothing at all."""
    return _KINDS.get(stat.S_IFMT(_mode(path)))


def _mode(path: Path) -> int:
    """Type bits of the file that ``path`` points to; 0 if there is none."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _refuse(path: Path, mode: int) -> None:
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        raise UserError(f"{path}: is {kind}, not a file: name a regular file")


TEXT_BYTES = 2**23
"""Maximum size of a JSON file: 8 MiB. Ours have kilobytes."""

TOML_BYTES = 2**18
"""Maximum size of a TOML file: 256 KiB. tomllib is a hundred times slower than the decoder of JSON."""

LOG_BYTES = 2**26
"""Maximum size of the log of a training: 64 MiB, a line of which has 200 bytes."""

LIST_BYTES = 2**28
"""Maximum size of a list of files, and of a file in the folder of a job: 256 MiB, a million long names."""

MODEL_BYTES = 2**30
"""Maximum size of a model or an engine: 1 GiB. The largest network has 20 MB."""

PICTURE_BYTES = 2**30
"""Maximum size of a picture file: 1 GiB, as much as an uncompressed picture of the largest size needs."""

CACHE_BYTES = 2**28
"""Maximum size of a file that TensorRT keeps for its next build or run: 256 MiB."""


def read_bounded(path: Path, most: int) -> bytes:
    """Reads a whole file.

    Args:
        path: the file.
        most: maximum size in bytes.

    Raises:
        UserError: if it cannot be read, is larger than ``most``, or is not a regular file.
    """
    try:
        with open_regular(path) as file:
            return read_opened(file.fileno(), path, most)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_opened(descriptor: int, path: Path, most: int) -> bytes:
    """Same as :func:`read_bounded`, for an open file; ``path`` names it in errors.

    Raises:
        UserError: if it is larger than ``most``, or not a regular file.
        OSError: if it cannot be read.
    """
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path}: cannot be read: Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: cannot be read: it is not a regular file")
    if status.st_size > most:
        raise UserError(f"{path}: is too large: {status.st_size:,} bytes; at most {most:,} are read")
    parts, left = [], most + 1
    while left and (part := os.read(descriptor, min(left, 2**24))):
        parts.append(part)
        left -= len(part)
    if not left:  # it grew meanwhile
        raise UserError(f"{path}: is too large: at most {most:,} bytes are read")
    return b"".join(parts)
