"""The record beside a TensorRT engine: its model, its build and its target machine.

``best.engine`` has ``best.engine.json``. An engine is executable code, so it is loaded only with a
record that matches it (:mod:`runtime.tensorrt.trust`). The record is a separate file, not a prefix of
the engine, so that other programs can load the engine too.
"""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from granet.app.files import write_atomically
from granet.app.schema import FileName, JsonFile, NotNegative, Sha256, Text, read_bytes, to_json
from granet.errors import UserError
from runtime.artefacts.manifest import manifest_path
from runtime.artefacts.metadata import ModelMetadata
from runtime.tensorrt.flavour import FlavourName
from runtime.tensorrt.optimisation_profile import Profile, Shape, nearest

FORMAT = 1
KIND = "tensorrt-engine"
"""Distinguishes the record of an engine from the manifest of an ONNX file; both are ``NAME.json``."""

Capability = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]?\.[0-9]\Z", description="a compute capability such as 8.6")
]


@dataclass(frozen=True)
class EngineRecord:
    """Facts about one engine.

    Attributes:
        file: name of the engine when it was built, without its directory.
        sha256: SHA-256 of the engine, hexadecimal.
        onnx: file name of the ONNX model that it was built from.
        onnx_sha256: SHA-256 of that model.
        table_sha256: SHA-256 of the calibration table; ``None`` if none was used. The checkpoint and its
            hash are in ``metadata``.
        metadata: metadata of the ONNX file: precision, colour order, size rule, checkpoint, ...
        flavour: ``tensorrt`` or ``tensorrt-rtx``.
        version: full version of TensorRT (or TensorRT-RTX). Only the version that built an engine runs
            it.
        platform: ``Linux-x86_64`` and the like, see :func:`runtime.tensorrt.trust.this_platform`.
        compute_capabilities: compute capabilities of the target GPUs, such as ``8.6``; empty for the
            default of TensorRT-RTX, whose runtime checks the GPU itself.
        cuda: version of CUDA during the build; ``None`` if built without a driver.
        driver: version of NVIDIA's driver, or the CUDA version that it supports; ``None`` if built
            without a driver.
        gpu: name of the GPU it was built on; ``None`` if built without one.
        profiles: optimisation profiles, at least one, in the engine's order.
        layers: layer name -> precision, from the engine inspector; ``None`` if no GPU was available to
            inspect the engine.
        build_seconds: duration of the build, in seconds.
        parity: measured parity, as the JSON of ``granet-export parity``; ``None`` if not measured.
        parity_reason: why parity was not measured; ``None`` if it was.
        warnings: warnings of the parser and the builder.
        created: time of the build, ISO 8601 in UTC.
        arguments: build options of ``granet-export trt``, without the ONNX file and the output names.

    Raises:
        ValueError: if fields contradict each other.
    """

    file: FileName
    sha256: Sha256
    onnx: FileName
    onnx_sha256: Sha256
    table_sha256: Sha256 | None
    metadata: ModelMetadata
    flavour: FlavourName
    version: Text
    platform: Text
    compute_capabilities: tuple[Capability, ...]
    cuda: Text | None
    driver: Text | None
    gpu: Text | None
    profiles: Annotated[tuple[Profile, ...], Meta(min_length=1)]
    layers: dict[str, str] | None
    build_seconds: NotNegative
    parity: dict[str, Any] | None
    parity_reason: Text | None
    warnings: tuple[str, ...]
    created: Text
    arguments: tuple[str, ...]

    def __post_init__(self) -> None:
        if (self.parity is None) == (self.parity_reason is None):
            raise ValueError("expected one of parity and parity_reason")
        if self.flavour == "tensorrt" and not self.compute_capabilities:
            raise ValueError("compute_capabilities: expected at least one for an engine of TensorRT")
        cores = [self.arguments[i + 1 : i + 2] for i, word in enumerate(self.arguments) if word == "--dla"]
        if not all(core and re.fullmatch(r"[0-9]", core[0]) for core in cores):
            raise ValueError("arguments: expected the number of a DLA core after --dla")
        for profile in self.profiles:
            self._check_static(profile)

    def _check_static(self, profile: Profile) -> None:
        """Checks that every profile agrees with the static sides of the ONNX model."""
        fixed = (self.metadata.batch, self.metadata.height, self.metadata.width)
        for side, low, high in zip(fixed, profile.min, profile.max, strict=True):
            if side is not None and not low == side == high:
                raise ValueError(f"profiles: the ONNX model is static, and {profile} is another size")

    @property
    def checkpoint_sha256(self) -> str:
        """SHA-256 of the checkpoint that the ONNX model was exported from."""
        return self.metadata.checkpoint_sha256

    @property
    def dla_core(self) -> int | None:
        """The DLA core that it was built for; ``None`` if it runs only on the GPU."""
        if "--dla" not in self.arguments:
            return None
        return int(self.arguments[self.arguments.index("--dla") + 1])

    @property
    def rebuild_command(self) -> str:
        """The command that builds this engine again, for messages."""
        words = ["granet-export", "trt", self.onnx, *self.arguments, "-o", self.file, "--overwrite"]
        return shlex.join(words)

    def profile_for(self, shape: Shape, path: Path) -> int:
        """The profile that takes a batch of (N, H, W) and is tuned nearest to it.

        Raises:
            UserError: if no profile takes it; the message lists the ranges, and ``path`` names the
                engine.
        """
        index = nearest(self.profiles, shape)
        if index is not None:
            return index
        n, height, width = shape
        what = f"{width}x{height}" if n == 1 else f"{n} frames of {width}x{height}"
        ranges = " or ".join(str(profile) for profile in self.profiles)
        raise UserError(
            f"{path}: was built for {ranges}, not for {what}: build it for this size too: "
            f"{self.rebuild_command} --size {width}x{height}"
        )

    def to_json(self) -> str:
        """Indented JSON; equal records give equal bytes.

        Raises:
            ValueError: if a value does not have the type above.
        """
        return to_json(_FILE.values(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: bytes | str, source: str) -> "EngineRecord":
        """Reads what :meth:`to_json` wrote; ``source`` names the file in errors.

        Raises:
            UserError: if it is damaged, has an unknown format, or is not the record of an engine.
        """
        return _FILE.decode(text, source)


_FILE = JsonFile(
    EngineRecord, "TensorRT engine record", "build the engine again: granet-export trt", FORMAT, KIND
)


def record_path(engine: Path) -> Path:
    """``best.engine`` -> ``best.engine.json``, in the same directory."""
    return manifest_path(engine)


def write_record(engine: Path, record: EngineRecord) -> Path:
    """Atomically writes the record of ``engine``; returns its path.

    Raises:
        UserError: if it cannot be written (no such directory, disk full, ...).
    """
    path = record_path(engine)
    write_atomically(path, record.to_json().encode())
    return path


def read_record(engine: Path) -> EngineRecord:
    """Reads the record beside ``engine``, but not the engine itself; see :mod:`runtime.tensorrt.trust`.

    Raises:
        UserError: if the record is missing, cannot be read, is damaged, or has an unknown format.
    """
    path = record_path(engine)
    if not path.exists():
        raise UserError(
            f"{engine}: not loaded, because an engine is executable code and its record {path.name} is "
            "missing: build it on this machine: granet-export trt MODEL.onnx"
        )
    return EngineRecord.from_json(read_bytes(path), str(path))


def as_built(record: EngineRecord) -> ModelMetadata:
    """The model's metadata, with dynamic sides replaced by those that all profiles fix."""
    fixed: list[int | None] = []
    for index in range(3):
        sides = {side for profile in record.profiles for side in (profile.min[index], profile.max[index])}
        fixed.append(sides.pop() if len(sides) == 1 else None)
    batch, height, width = fixed
    return replace(record.metadata, batch=batch, height=height, width=width)
