"""A cache for machine code, in a directory that only this user can write.

Engines and the kernels that TensorRT-RTX compiles are executable code. A file that another user could have
written is not trusted: a cache that others can write lets them run code as this user.
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
    """``$XDG_CACHE_HOME/granet-deploy`` (default: ``~/.cache/granet-deploy``); it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "granet-deploy"


def foreign(path: Path) -> str | None:
    """Why a file cannot be trusted; ``None`` if only this user can write it and its directory.

    Raises:
        OSError: if it does not exist.
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
    """Atomically writes a file that only this user can read and write; creates its directory.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be created: {error.strerror or error}") from error
    write_atomically(path, content, mode=0o600)


def beyond(directory: Path, pattern: str, kept: int) -> Iterator[Path]:
    """All matching files except the ``kept`` newest; other processes may use the directory meanwhile."""
    found = []
    for path in directory.glob(pattern):
        with suppress(OSError):  # removed meanwhile
            if not path.name.startswith("."):  # still being written
                found.append((path.stat().st_mtime_ns, path))
    yield from (path for _, path in sorted(found)[:-kept])
