"""The record beside a TensorRT engine: what it was built from, with what, and for which machine.

``best.engine`` has ``best.engine.json``. An engine is executable code, so it is loaded only with a
record that matches it (:mod:`runtime.tensorrt.trust`); the record is never a prefix inside the engine,
so that other programs can load it too.
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
"""Tells the record of an engine from the manifest of an ONNX file; both are ``NAME.json``."""

Capability = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]?\.[0-9]\Z", description="a compute capability such as 8.6")
]


@dataclass(frozen=True)
class EngineRecord:
    """What is known of one engine.

    Attributes:
        file: name of the engine when it was built, without its directory.
        sha256: of the engine, hexadecimal.
        onnx: file name of the ONNX model that it was built from.
        onnx_sha256: of that.
        table_sha256: of the calibration table; ``None`` if none was used. The checkpoint and its hash
            are in ``metadata``.
        metadata: what the ONNX file said of itself: precision, colour order, size rule, checkpoint, ...
        flavour: ``tensorrt`` or ``tensorrt-rtx``.
        version: of TensorRT (or TensorRT-RTX), in full. An engine is run by the very version that built
            it.
        platform: ``Linux-x86_64`` and the like, see :func:`runtime.tensorrt.trust.this_platform`.
        compute_capabilities: of the GPUs that it was built for, ``8.6`` and the like; empty for what
            TensorRT-RTX builds by default, which its runtime itself checks against the GPU.
        cuda: version of CUDA that TensorRT was used with; ``None`` where it was built without a driver.
        driver: version of NVIDIA's driver, or the CUDA version that it supports; ``None`` likewise.
        gpu: name of the GPU it was built on; ``None`` if built without one.
        profiles: at least one, in the engine's order.
        layers: name of each layer -> its precision, from the engine inspector; ``None`` where no GPU
            allowed to look.
        build_seconds: what the build took.
        parity: the measured figures, as the JSON of ``granet-export parity``; ``None`` if none were.
        parity_reason: why there are none; ``None`` if there are.
        warnings: of the parser and the builder.
        created: when, ISO 8601 in UTC.
        arguments: of ``granet-export trt``, beside the ONNX file and the names: what was asked of the build.

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
        """A static side of the ONNX model is that side of every profile."""
        fixed = (self.metadata.batch, self.metadata.height, self.metadata.width)
        for side, low, high in zip(fixed, profile.min, profile.max, strict=True):
            if side is not None and not low == side == high:
                raise ValueError(f"profiles: the ONNX model is static, and {profile} is another size")

    @property
    def checkpoint_sha256(self) -> str:
        """Of the checkpoint that the ONNX model was exported from."""
        return self.metadata.checkpoint_sha256

    @property
    def dla_core(self) -> int | None:
        """The DLA core that it was built for; ``None`` for one of the GPU alone."""
        if "--dla" not in self.arguments:
            return None
        return int(self.arguments[self.arguments.index("--dla") + 1])

    @property
    def rebuild_command(self) -> str:
        """What makes this engine again, for messages."""
        words = ["granet-export", "trt", self.onnx, *self.arguments, "-o", self.file, "--overwrite"]
        return shlex.join(words)

    def profile_for(self, shape: Shape, path: Path) -> int:
        """The optimisation profile for a batch of (N, H, W): of those that take it, the one tuned nearest.

        Raises:
            UserError: if none does; the message has the ranges, and ``path`` names the engine.
        """
        index = nearest(self.profiles, shape)
        if index is not None:
            return index
        n, height, width = shape
        what = f"{width}x{height}" if n == 1 else f"{n} frames of {width}x{height}"
        ranges = " or ".join(str(profile) for profile in self.profiles)
        raise UserError(
            f"{path}: was built for {ranges}, not for {what}: build it for that size too: "
            f"{self.rebuild_command} --size {width}x{height}"
        )

    def to_json(self) -> str:
        """Indented JSON; the same record gives the same bytes.

        Raises:
            ValueError: if a value is not of the kind above.
        """
        return to_json(_FILE.values(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: bytes | str, source: str) -> "EngineRecord":
        """Reads what :meth:`to_json` wrote; ``source`` names the file in errors.

        Raises:
            UserError: if it is damaged, of a format that this version does not know, or of no engine.
        """
        return _FILE.decode(text, source)


_FILE = JsonFile(
    EngineRecord, "TensorRT engine record", "build the engine again: granet-export trt", FORMAT, KIND
)


def record_path(engine: Path) -> Path:
    """``best.engine`` -> ``best.engine.json``, in the same directory."""
    return manifest_path(engine)


def write_record(engine: Path, record: EngineRecord) -> Path:
    """Writes the record of ``engine``, whole or not at all; returns its path.

    Raises:
        UserError: if it cannot be written (no such directory, disk full, ...).
    """
    path = record_path(engine)
    write_atomically(path, record.to_json().encode())
    return path


def read_record(engine: Path) -> EngineRecord:
    """The record beside ``engine``; the engine itself is not read, see :mod:`runtime.tensorrt.trust`.

    Raises:
        UserError: if there is none, or it cannot be read, is damaged or of another format.
    """
    path = record_path(engine)
    if not path.exists():
        raise UserError(
            f"{engine}: has no record {path.name} beside it, and an engine is executable code, so it is not "
            "loaded: build it on this machine: granet-export trt MODEL.onnx"
        )
    return EngineRecord.from_json(read_bytes(path), str(path))


def as_built(record: EngineRecord) -> ModelMetadata:
    """The model's metadata, with the sides that every profile fixes where the model left them open."""
    fixed: list[int | None] = []
    for index in range(3):
        sides = {side for profile in record.profiles for side in (profile.min[index], profile.max[index])}
        fixed.append(sides.pop() if len(sides) == 1 else None)
    batch, height, width = fixed
    return replace(record.metadata, batch=batch, height=height, width=width)
