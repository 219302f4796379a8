"""A cache of engines under a key of everything that distinguishes two builds."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from export.tensorrt.build import BuildOptions
from granet.app.input_file import MODEL_BYTES, TEXT_BYTES
from granet.errors import UserError
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.private_cache import (
    ForeignFileError,
    beyond,
    cache_directory,
    read_private,
    write_private,
)
from runtime.tensorrt.record import EngineRecord, record_path
from runtime.tensorrt.trust import TrustedPlan, matching, this_platform

BUILD = 1
"""Version of the build: raise it when the same inputs give another engine, as after a change of flags."""

KEPT = 8
"""Maximum number of engines in the cache; the least recently used one is removed first."""


def cache_key(
    flavour: Flavour, onnx_sha256: str, profile: Profile, options: BuildOptions, gpu: Gpu | None
) -> str:
    """The hexadecimal key of the engine that this build makes.

    Args:
        flavour: TensorRT's flavour and version.
        onnx_sha256: SHA-256 of the model, which covers weights, precision, Q/DQ, colour order and sizes.
        profile: shapes that the engine supports.
        options: options of the builder. The timing cache does not count: it changes only the time of a build.
        gpu: the GPU, with its driver, on which TensorRT times kernels; ``None`` for TensorRT-RTX.
    """
    chosen = asdict(options)
    del chosen["timing_cache"], chosen["own_timings"]
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


def timing_cache_path(flavour: Flavour, gpu: Gpu) -> Path:
    """Default timing cache of this TensorRT on this GPU."""
    kind = "".join(letter if letter.isalnum() else "-" for letter in gpu.name)
    return cache_directory() / f"timings-{flavour.version}-{kind}-{gpu.capability}.cache"


class EngineCache:
    """A directory of engines and their records.

    Several processes may use it at once, because files are written atomically. If the plan and the record
    come from two builds, they do not match, and the engine is built again.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        """Creates ``directory`` with the first engine; ``say`` prints why an engine is not used."""
        self._directory, self._say = directory, say

    def find(self, key: str) -> TrustedPlan | None:
        """The engine stored under ``key``; ``None`` if there is none, or it does not match its record."""
        path = self._path(key)
        try:
            record = read_private(record_path(path), TEXT_BYTES)
            plan = read_private(path, MODEL_BYTES)
            found = matching(path, plan, EngineRecord.from_json(record, str(record_path(path))))
            with suppress(OSError):  # the cache is read-only
                os.utime(path)
        except ForeignFileError as error:
            self._say(f"note: {path} is not used: {error}, and an engine is executable code")
            return None
        except (UserError, OSError):  # missing, or truncated by a full disk: it is built again
            return None
        return found

    def keep(self, key: str, plan: bytes, record: EngineRecord) -> None:
        """Stores an engine under ``key`` and removes the least recently used ones.

        Raises:
            UserError: if the directory cannot be written.
        """
        path = self._path(key)
        write_private(path, plan)
        write_private(record_path(path), record.to_json().encode())
        for old in beyond(self._directory, "*.engine", KEPT):
            old.unlink(missing_ok=True)
            record_path(old).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.engine"
