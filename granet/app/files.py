"""Atomic file replacement for content in memory.

For a file that grows while it is written see :class:`runtime.sinks.part_file.PartFile`.
"""

import os
import uuid
from pathlib import Path

from granet.errors import UserError

_BINARY = getattr(os, "O_BINARY", 0)
"""Without it Windows converts line ends."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Writes a temporary file beside ``path`` and renames it.

    Args:
        path: the file.
        content: its complete content.
        mode: permissions before the umask.

    Raises:
        UserError: if writing fails (no such directory, disk full, ...); the old file then stays.
    """
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # otherwise a power failure can leave an empty file under the name
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
