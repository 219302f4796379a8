"""A cache of engines under a key of everything that distinguishes two builds."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from export.tensorrt.build import BuildOptions
from granet.errors import UserError
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.private_cache import beyond, cache_directory, foreign, write_private
from runtime.tensorrt.record import EngineRecord, record_path
from runtime.tensorrt.trust import TrustedPlan, read_trusted, this_platform

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
    """Where kernel timings of this TensorRT on this GPU are kept unless the user names a file."""
    kind = "".join(letter if letter.isalnum() else "-" for letter in gpu.name)
    return cache_directory() / f"timings-{flavour.version}-{kind}-{gpu.capability}.cache"


class EngineCache:
    """A directory of engines and their records.

    Several processes may use it at once: each writes whole files, and a plan and a record of two builds do
    not match, so that the engine is built again.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        """``directory`` is made when something is kept; ``say`` prints why an engine is not used."""
        self._directory, self._say = directory, say

    def find(self, key: str) -> TrustedPlan | None:
        """The engine that was kept under ``key``; ``None`` if none was, or it is not what its record says."""
        path = self._path(key)
        try:
            why = foreign(path) or foreign(record_path(path))
            if why is not None:
                self._say(f"note: {path} is not used: {why}, and an engine is executable code")
                return None
            found = read_trusted(path)
            with suppress(OSError):  # a cache that can only be read
                os.utime(path)
        except (UserError, OSError):  # none, or one that was cut short by a full disk: it is built again
            return None
        return found

    def keep(self, key: str, plan: bytes, record: EngineRecord) -> None:
        """Stores an engine under ``key`` and drops what was used longest ago.

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
