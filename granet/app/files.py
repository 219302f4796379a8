"""A file is there complete, or as it was before."""

import os
import uuid
from pathlib import Path

_BINARY = getattr(os, "O_BINARY", 0)
"""Windows turns line ends over without it."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Writes beside ``path`` and renames.

    Args:
        path: the file.
        content: all of it.
        mode: permissions, of which the umask takes some away.

    Raises:
        OSError: if that fails; nothing is left behind then.
    """
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut can leave the name on an empty file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
