"""Engines that were built before, under a key of all that makes two engines different."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from export.trt_build import BuildOptions
from granet.errors import UserError
from runtime.cuda.contract import Gpu
from runtime.engine_record import EngineRecord, Profile, record_path, write_record
from runtime.engine_trust import TrustedPlan, read_trusted, this_platform
from runtime.sinks.part_file import PartFile
from runtime.tensorrt_flavour import Flavour

BUILD = 1
"""To be raised when the same inputs would give another engine: a change of the builder's flags."""

KEPT = 8
"""Engines that the cache keeps; the one that was used longest ago goes first."""


def cache_key(
    flavour: Flavour, onnx_sha256: str, profile: Profile, options: BuildOptions, gpu: Gpu | None
) -> str:
    """A name for the engine that this build gives, hexadecimal.

    Args:
        flavour: which TensorRT, and its version.
        onnx_sha256: of the model: weights, precision, Q/DQ, colour order and static sizes are in it.
        profile: shapes that the engine is for.
        options: of the builder. Where timings are kept is left out: it changes how long a build takes.
        gpu: that TensorRT times kernels on, with its driver; ``None`` for TensorRT-RTX, which asks none.
    """
    chosen = asdict(options)
    del chosen["timing_cache"]
    ingredients = {
        "build": BUILD,
        "flavour": flavour.name,
        "version": flavour.version,
        "platform": this_platform(),
        "onnx": onnx_sha256,
        "profile": asdict(profile),
        "options": chosen,
        "gpu": None if gpu is None else [gpu.name, gpu.capability, gpu.driver],
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def cache_directory() -> Path:
    """``$XDG_CACHE_HOME/granet-deploy``, by default in ``~/.cache``; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "granet-deploy"


def timing_cache_path(flavour: Flavour, gpu: Gpu) -> Path:
    """Where kernel timings of this TensorRT on this GPU are kept unless the user names a file."""
    kind = "".join(letter if letter.isalnum() else "-" for letter in gpu.name)
    return cache_directory() / f"timings-{flavour.version}-{kind}-{gpu.capability}.cache"


class EngineCache:
    """A directory of engines and their records."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is made when something is kept."""
        self._directory = directory

    def find(self, key: str) -> TrustedPlan | None:
        """The engine that was kept under ``key``; ``None`` if none was, or it is not what its record says."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            found = read_trusted(path)
            os.utime(path)
        except (UserError, OSError):  # cut short by a full disk, say: it is built again
            return None
        return found

    def keep(self, key: str, plan: bytes, record: EngineRecord) -> None:
        """Stores an engine under ``key`` and drops what was used longest ago.

        Raises:
            UserError: if the directory cannot be written.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # engines are executable code
        except OSError as error:
            raise UserError(f"{self._directory}: cannot be made: {error.strerror or error}") from error
        path = self._path(key)
        write_whole(path, plan)
        write_record(path, record)
        self._forget()

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.engine"

    def _forget(self) -> None:
        engines = sorted(self._directory.glob("*.engine"), key=lambda path: path.stat().st_mtime)
        for path in engines[:-KEPT]:
            path.unlink(missing_ok=True)
            record_path(path).unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; replaces what is there.

    Raises:
        UserError: if it cannot be written.
    """
    part = PartFile(path)
    try:
        part.path.write_bytes(data)
        part.commit()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        part.discard()
