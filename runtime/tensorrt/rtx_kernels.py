"""The kernels that TensorRT-RTX compiles when an engine is first run, kept for the next process.

A file for each engine, TensorRT-RTX, GPU and driver. It is machine code: only a file that no other user can
have written is loaded, and only whole. TensorRT-RTX itself then holds it against its version and the GPU.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granet.errors import UserError
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.private_cache import beyond, cache_directory, foreign, write_private

KEPT = 16
"""Files that are kept; what was written longest ago goes first."""

_DIGEST = hashlib.sha256
_LENGTH = _DIGEST().digest_size


def kernels_path(version: str, gpu: Gpu, engine_sha256: str) -> Path:
    """Where the kernels of an engine are kept for this TensorRT-RTX, GPU and driver."""
    kind = re.sub(r"[^A-Za-z0-9]+", "-", gpu.name).strip("-")
    name = f"{version}-{kind}-{gpu.capability}-{gpu.driver}-{engine_sha256[:16]}.kernels"
    return cache_directory() / "rtx-kernels" / name


class KeptKernels:
    """An ``IRuntimeCache`` and the file that it comes from and goes to.

    Args:
        path: the file; it need not be there.
        say: told, in a line, if it is not used or cannot be written: then kernels are compiled again.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path, self._say = path, say
        self._cache: Any = None
        self._stored: bytes | None = None

    def fill(self, cache: Any) -> None:
        """Loads the file into a new ``IRuntimeCache``, which is asked again by :meth:`keep`.

        Needs the context of the GPU to be current, which TensorRT-RTX compares it with.
        """
        self._cache = cache
        try:
            content = self._path.read_bytes()
            why = foreign(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            why = error.strerror or str(error)
        if why is None:
            digest, kernels = content[:_LENGTH], content[_LENGTH:]
            if _DIGEST(kernels).digest() != digest:
                why = "it is damaged"
            elif not cache.deserialize(kernels):
                why = "TensorRT-RTX finds that they are not of this version and GPU"
            else:
                self._stored = digest
        if why is not None:
            self._say(f"note: kernels are compiled again, those of {self._path} are not used: {why}")

    def keep(self) -> None:
        """Writes what has been compiled, if that is more than was read or written before."""
        if self._cache is None:
            return
        kernels = bytes(self._cache.serialize() or b"")
        digest = _DIGEST(kernels).digest()
        if not kernels or digest == self._stored:
            return
        try:
            write_private(self._path, digest + kernels)
            for path in beyond(self._path.parent, "*.kernels", KEPT):
                path.unlink(missing_ok=True)
        except UserError as error:
            self._say(f"note: compiled kernels are not kept for the next time: {error}")
        self._stored = digest  # told once

    def close(self) -> None:
        """Lets go of the ``IRuntimeCache``."""
        self._cache = None
