"""A file is there complete, or as it was before."""

import os
import uuid
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes beside ``path`` and renames.

    Raises:
        OSError: if that fails; nothing is left behind then.
    """
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut can leave the name on an empty file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
