"""Files that hold machine code and are made to be found again: in a directory that is this user's alone.

Engines and the kernels that TensorRT-RTX compiled are executable code. What another user could have put there
is not trusted: a cache that others can write is a way to run code as somebody else.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from granet.app.files import write_atomically
from granet.errors import UserError

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_directory() -> Path:
    """``$XDG_CACHE_HOME/granet-deploy``, by default in ``~/.cache``; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "granet-deploy"


def foreign(path: Path) -> str | None:
    """Why a file may not be this user's own work; ``None`` if nobody else can write it or its directory.

    Raises:
        OSError: if it is not there.
    """
    if os.name != "posix":
        return None
    for each in (path.parent, path):
        status = each.stat()
        if status.st_uid != os.geteuid():
            return f"{each} belongs to another user"
        if status.st_mode & _OTHERS:
            return f"other users can write {each}"
    return None


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that this user alone can read and write, whole or not at all; makes its directory.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be made: {error.strerror or error}") from error
    try:
        write_atomically(path, content, mode=0o600)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def beyond(directory: Path, pattern: str, kept: int) -> Iterator[Path]:
    """All files that match but the ``kept`` newest; other processes may be at work there too."""
    found = []
    for path in directory.glob(pattern):
        with suppress(OSError):  # gone meanwhile
            if not path.name.startswith("."):  # being written
                found.append((path.stat().st_mtime_ns, path))
    yield from (path for _, path in sorted(found)[:-kept])
