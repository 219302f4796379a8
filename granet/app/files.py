"""Atomic file replacement: a file is there complete, or as it was before.

For what is in memory; a file that grows while it is written is :class:`runtime.sinks.part_file.PartFile`.
"""

import os
import uuid
from pathlib import Path

from granet.errors import UserError

_BINARY = getattr(os, "O_BINARY", 0)
"""Windows turns line ends over without it."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Writes beside ``path`` and renames.

    Args:
        path: the file.
        content: all of it.
        mode: permissions, of which the umask takes some away.

    Raises:
        UserError: if that fails (no such directory, disk full, ...); nothing is left behind then.
    """
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut can leave the name on an empty file
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
