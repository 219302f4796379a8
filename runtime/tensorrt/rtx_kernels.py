"""A cache for the kernels that TensorRT-RTX compiles when it first runs an engine.

There is one file per engine, TensorRT-RTX version, GPU and driver. It is machine code, so a file is loaded
only if it is intact and no other user can have written it. TensorRT-RTX then checks it against its version
and the GPU.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granet.app.input_file import CACHE_BYTES
from granet.errors import UserError
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.private_cache import (
    ForeignFileError,
    beyond,
    cache_directory,
    read_private,
    write_private,
)

KEPT = 16
"""Number of files to keep; the oldest are removed first."""

_DIGEST = hashlib.sha256
_LENGTH = _DIGEST().digest_size


def kernels_path(version: str, gpu: Gpu, engine_sha256: str) -> Path:
    """The file for the kernels of an engine with this TensorRT-RTX version, GPU and driver."""
    kind = re.sub(r"[^A-Za-z0-9]+", "-", gpu.name).strip("-")
    name = f"{version}-{kind}-{gpu.capability}-{gpu.driver}-{engine_sha256[:16]}.kernels"
    return cache_directory() / "rtx-kernels" / name


class KeptKernels:
    """Loads an ``IRuntimeCache`` from a file and stores it there.

    Args:
        path: the file; it need not exist.
        say: called with one line if the file is not used or cannot be written, so that kernels have to
            be compiled again.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path, self._say = path, say
        self._cache: Any = None
        self._stored: bytes | None = None

    def fill(self, cache: Any) -> None:
        """Loads the file into a new ``IRuntimeCache``, which :meth:`keep` stores later.

        The context of the GPU must be current: TensorRT-RTX checks the kernels against it.
        """
        self._cache = cache
        try:
            content = read_private(self._path, CACHE_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            why: str | None = error.strerror or str(error)
        except (ForeignFileError, UserError) as error:
            why = str(error)
        else:
            why = self._loaded(cache, content)
        if why is not None:
            self._say(f"note: compiling kernels again instead of using those of {self._path}: {why}")

    def _loaded(self, cache: Any, content: bytes) -> str | None:
        """Loads the kernels; the reason if they are not used."""
        digest, kernels = content[:_LENGTH], content[_LENGTH:]
        if _DIGEST(kernels).digest() != digest:
            return "it is damaged"
        if not cache.deserialize(kernels):
            return "TensorRT-RTX reports another version or GPU"
        self._stored = digest
        return None

    def keep(self) -> None:
        """Stores the compiled kernels if they have changed since they were loaded or stored."""
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
            self._say(f"note: compiled kernels are not cached: {error}")
        self._stored = digest  # also after an error, so that it is reported once

    def close(self) -> None:
        """Releases the ``IRuntimeCache``."""
        self._cache = None
