"""The record beside a TensorRT engine: what it was built from, with what, and for which machine.

``best.engine`` has ``best.engine.json``. An engine is executable code, so it is loaded only with a
record that matches it (:mod:`runtime.tensorrt.trust`); the record is never a prefix inside the engine,
so that other programs can load it too.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from granet.errors import UserError
from runtime.artefacts.manifest import manifest_path, write_text
from runtime.artefacts.metadata import ModelMetadata
from runtime.tensorrt.optimisation_profile import Profile, Shape, nearest

FORMAT = 1
KIND = "tensorrt-engine"
"""Tells the record of an engine from the manifest of an ONNX file; both are ``NAME.json``."""

FLAVOURS = ("tensorrt", "tensorrt-rtx")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CAPABILITY = re.compile(r"[1-9][0-9]?\.[0-9]")


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
        flavour: one of :data:`FLAVOURS`.
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
        ValueError: if a value is not of the kind above; the file it came from may be anyone's.
    """

    file: str
    sha256: str
    onnx: str
    onnx_sha256: str
    table_sha256: str | None
    metadata: ModelMetadata
    flavour: str
    version: str
    platform: str
    compute_capabilities: tuple[str, ...]
    cuda: str | None
    driver: str | None
    gpu: str | None
    profiles: tuple[Profile, ...]
    layers: dict[str, str] | None
    build_seconds: float
    parity: dict[str, Any] | None
    parity_reason: str | None
    warnings: tuple[str, ...]
    created: str
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, holds in _RULES.items():
            _require(holds(getattr(self, name)), name, getattr(self, name))
        _require((self.parity is None) != (self.parity_reason is None), "parity_reason", self.parity_reason)
        portable = self.flavour == "tensorrt-rtx" or len(self.compute_capabilities) > 0
        _require(portable, "compute_capabilities", self.compute_capabilities)
        for profile in self.profiles:
            self._check_static(profile)

    def _check_static(self, profile: Profile) -> None:
        """A static side of the ONNX model is that side of every profile."""
        fixed = (self.metadata.batch, self.metadata.height, self.metadata.width)
        for side, low, high in zip(fixed, profile.min, profile.max, strict=True):
            _require(side is None or (low == side == high), "profiles", profile)

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
        """Indented JSON; the same record gives the same bytes."""
        values = {"format": FORMAT, "kind": KIND, **asdict(self)}
        return json.dumps(values, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> "EngineRecord":
        """Reads what :meth:`to_json` wrote; ``source`` names the file in errors.

        Raises:
            UserError: if it is damaged, of a format that this version does not know, or of no engine.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _damaged(source, "it is not JSON") from error
        if not isinstance(values, dict) or values.get("kind") != KIND:
            raise UserError(f"{source}: not the record of a TensorRT engine: build it: granet-export trt")
        if values.get("format") != FORMAT:
            raise UserError(
                f"{source}: a record of format {values.get('format')!r}, this version reads {FORMAT}: "
                "build the engine again with this version: granet-export trt"
            )
        metadata = ModelMetadata.from_json(json.dumps(values.get("metadata")), source)
        try:
            return cls(**_fields_of(values) | {"metadata": metadata})
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(source, str(error)) from error


def record_path(engine: Path) -> Path:
    """``best.engine`` -> ``best.engine.json``, in the same directory."""
    return manifest_path(engine)


def write_record(engine: Path, record: EngineRecord) -> Path:
    """Writes the record of ``engine``, whole or not at all; returns its path.

    Raises:
        UserError: if it cannot be written (no such directory, disk full, ...).
    """
    path = record_path(engine)
    write_text(path, record.to_json())
    return path


def read_record(engine: Path) -> EngineRecord:
    """The record beside ``engine``; the engine itself is not read, see :mod:`runtime.tensorrt.trust`.

    Raises:
        UserError: if there is none, or it cannot be read, is damaged or of another format.
    """
    path = record_path(engine)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"{engine}: has no record {path.name} beside it, and an engine is executable code, so it is not "
            "loaded: build it on this machine: granet-export trt MODEL.onnx"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _damaged(str(path), "it is not UTF-8") from error
    return EngineRecord.from_json(text, str(path))


def as_built(record: EngineRecord) -> ModelMetadata:
    """The model's metadata, with the sides that every profile fixes where the model left them open."""
    fixed: list[int | None] = []
    for index in range(3):
        sides = {side for profile in record.profiles for side in (profile.min[index], profile.max[index])}
        fixed.append(sides.pop() if len(sides) == 1 else None)
    batch, height, width = fixed
    return replace(record.metadata, batch=batch, height=height, width=width)


def _fields_of(values: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples they were. Unknown names are left out, missing ones are a KeyError."""
    found = {item.name: values[item.name] for item in fields(EngineRecord)}
    found["profiles"] = tuple(
        Profile(**{name: tuple(profile[name]) for name in ("min", "opt", "max")})
        for profile in _list(found["profiles"])
    )
    for name in ("compute_capabilities", "warnings", "arguments"):
        found[name] = tuple(_list(found[name]))
    return found


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.60} is not a list")
    return value


def _damaged(source: str, what: str) -> UserError:
    return UserError(
        f"{source}: the engine's record is damaged ({what}): build the engine again: granet-export trt"
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_file_name(value: object) -> bool:
    """A bare name: it is printed as part of a command, and must not lead elsewhere."""
    return isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\\\n\r\0")


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, str) for item in value)


def _is_arguments(value: object) -> bool:
    """Words, and the DLA core among them a number."""
    words = value if isinstance(value, tuple) and _is_texts(value) else (None,)
    cores = [words[index + 1 : index + 2] for index, word in enumerate(words) if word == "--dla"]
    return None not in words and all(core and re.fullmatch(r"\d", str(core[0])) for core in cores)


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _or_none(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _is_layers(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(x, str) for item in value.items() for x in item)


_RULES: dict[str, Callable[[Any], bool]] = {
    "file": _is_file_name,
    "sha256": _is_hash,
    "onnx": _is_file_name,
    "onnx_sha256": _is_hash,
    "table_sha256": _or_none(_is_hash),
    "metadata": lambda value: isinstance(value, ModelMetadata),
    "flavour": lambda value: value in FLAVOURS,
    "version": _is_text,
    "platform": _is_text,
    "compute_capabilities": lambda value: _is_texts(value) and all(map(_CAPABILITY.fullmatch, value)),
    "cuda": _or_none(_is_text),
    "driver": _or_none(_is_text),
    "gpu": _or_none(_is_text),
    "profiles": lambda value: len(value) > 0 and all(isinstance(item, Profile) for item in value),
    "layers": _or_none(_is_layers),
    "build_seconds": _is_duration,
    "parity": _or_none(lambda value: isinstance(value, dict)),
    "parity_reason": _or_none(_is_text),
    "warnings": _is_texts,
    "created": _is_text,
    "arguments": _is_arguments,
}


def _require(condition: bool, name: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{name} is {value!r:.60}")
