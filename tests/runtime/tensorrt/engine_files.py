"""Engine files for tests: a plan of a few bytes with a record that matches it."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.record import EngineRecord, write_record
from runtime.tensorrt.trust import this_platform
from tests.runtime.handmade import METADATA
from tests.runtime.tensorrt.fake_tensorrt import VERSIONS

PLAN = b"a plan, as far as a test is concerned" * 100


def record(
    flavour: str = "tensorrt", *, plan: bytes = PLAN, meta: Any = None, **changes: Any
) -> EngineRecord:
    """A record for frames of 64x48, unless ``meta`` changes the model's metadata."""
    metadata = replace(METADATA, **({"height": 48, "width": 64, "batch": 1} | (meta or {})))
    n, h, w = metadata.batch or 1, metadata.height or 48, metadata.width or 64
    values: dict[str, Any] = {
        "file": "best.engine",
        "sha256": hashlib.sha256(plan).hexdigest(),
        "onnx": "best.onnx",
        "onnx_sha256": "1" * 64,
        "table_sha256": None,
        "metadata": metadata,
        "flavour": flavour,
        "version": VERSIONS[flavour],
        "platform": this_platform(),
        "compute_capabilities": ("8.6",),
        "cuda": "13.0",
        "driver": "13.0",
        "gpu": "Fake GPU",
        "profiles": (Profile.fixed(n, h, w),),
        "layers": {"/coarse/conv": "fp32"},
        "build_seconds": 2.5,
        "parity": None,
        "parity_reason": "built where there is no GPU",
        "warnings": (),
        "created": "2026-11-23T01:00:00+00:00",
        "arguments": (),
    }
    return EngineRecord(**(values | changes))


def engine_file(directory: Path, made: EngineRecord, plan: bytes = PLAN) -> Path:
    path = directory / "best.engine"
    path.write_bytes(plan)
    write_record(path, made)
    return path
