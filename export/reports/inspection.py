"""Describes a file from its manifest and its content; executes none of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from granet.app.console import UsageError
from granet.app.extras import require
from granet.app.input_file import MODEL_BYTES, read_bounded, require_regular
from granet.errors import UserError
from granet.weights.file_names import ENDINGS, is_checkpoint
from granet.weights.renames import Rename
from runtime.artefacts.artefact import Artefact, Model
from runtime.artefacts.manifest import manifest_path, read_manifest, sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import metadata_in
from runtime.open import ENGINES
from runtime.tensorrt.record import EngineRecord, read_record
from runtime.tensorrt.trust import read_trusted

Facts = dict[str, Any]
"""JSON values by name, in display order."""


def inspect_file(path: Path, renames: Sequence[Rename] = ()) -> Facts:
    """Describes a checkpoint, an ONNX model, an engine, a calibration table, or a manifest of one.

    Args:
        path: the file.
        renames: names of the weights, for a checkpoint of another program.

    Raises:
        UsageError: if a rename would not be used.
        UserError: if the file is missing, damaged or not of this project.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file")
    require_regular(path)
    if is_checkpoint(path):
        return _checkpoint(path, renames)
    if renames:
        raise UsageError(f"{renames[0]} with {path}: only weights of a checkpoint have names to map")
    describe = _describer(path)
    if describe is None:
        known = ", ".join((".onnx", *ENGINES, *ENDINGS, ".json"))
        raise UserError(f"{path}: unknown kind of file: expected a name that ends in {known}")
    return describe(path)


def _describer(path: Path) -> Callable[[Path], Facts] | None:
    suffix = path.suffix.lower()
    if suffix in ENGINES:
        return _engine
    return {".onnx": _onnx, ".json": _json}.get(suffix)


def _file(path: Path, kind: str) -> Facts:
    return {"file": str(path), "kind": kind, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _checkpoint(path: Path, renames: Sequence[Rename]) -> Facts:
    require(f"{path}: inspecting it", "torch")
    from granet.checkpoint import read_checkpoint
    from granet.config import GraNetConfig
    from granet.weights.mismatch import MismatchError, expected_shapes

    try:
        loaded = read_checkpoint(path, renames)
    except MismatchError as error:
        why = str(error).removeprefix(f"{path}: ")
        return {
            **_file(path, "checkpoint of another network"),
            "why": why,
            "tensors": _named(error.shapes),
            "of GraNet paper": _named(expected_shapes(GraNetConfig.paper())),
        }
    parameters = sum(tensor.numel() for tensor in loaded.state.values())
    return {
        **_file(path, "checkpoint of GraNet"),
        "parameters": parameters,
        "network": asdict(loaded.config),
        "weights": dict(loaded.facts),
        "tensors": _named({name: tuple(tensor.shape) for name, tensor in loaded.state.items()}),
        **({"left out": list(loaded.left_out)} if loaded.left_out else {}),
    }


def _named(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Each name with its shape, as in ``coarse.head.weight 32x12x3x3``."""
    return [f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items()]


def _model(metadata: ModelMetadata) -> Facts:
    """The facts that ONNX models and engines share."""
    sides = "any size" if metadata.height is None else f"{metadata.width}x{metadata.height}"
    batch = "any number" if metadata.batch is None else str(metadata.batch)
    what = "uint8 N x H x W x 3" if metadata.layout == "frames" else "float32 N x 3 x H x W in [0, 1]"
    grid = "the paper's grid" if metadata.extent is None else f"{metadata.extent} pixels a grid"
    quantisation = metadata.quantisation
    return {
        "precision": metadata.precision,
        **({"quantisation": quantisation} if quantisation else {}),
        "input": f"{what}, {metadata.colour.upper()}",
        "frames": f"{sides}, {batch} at a time",
        "size rule": f"multiples of {metadata.multiple}, {grid}",
        "outputs": metadata.outputs,
        "checkpoint": {"file": metadata.checkpoint, "sha256": metadata.checkpoint_sha256},
        "made with": metadata.versions,
    }


def _onnx(path: Path) -> Facts:
    content = read_bounded(path, MODEL_BYTES)
    model = Artefact(path, content, metadata_in(content, path))
    facts = {
        "file": str(path),
        "kind": "ONNX model",
        "bytes": len(content),
        "sha256": model.sha256,
        **_model(model.metadata),
        **_graph(model),
    }
    beside = manifest_path(path)
    if not beside.exists():
        return facts | {"manifest": "none", "parity": None}
    manifest = read_manifest(beside)
    same = manifest.sha256 == facts["sha256"]
    return facts | {
        "manifest": "matches" if same else f"DOES NOT MATCH: the file was changed after {beside.name}",
        "created": manifest.created,
        "parity": _parity(manifest.parity),
    }


def _graph(file: Model) -> Facts:
    require(f"{file.path}: inspecting it", "onnx")
    import onnx

    model = onnx.load_from_string(file.content)
    operators = Counter(node.op_type for node in model.graph.node)
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), None)
    pairs = {name: operators[name] for name in ("QuantizeLinear", "DequantizeLinear")}
    return {
        "opset": opset,
        "nodes": sum(operators.values()),
        "operators": dict(operators.most_common(5)),
        "quantised": pairs if any(pairs.values()) else "no Q/DQ",
    }


def _engine(path: Path) -> Facts:
    try:
        record = read_trusted(path).record
        state = "matches"
    except UserError as error:
        try:
            record = read_record(path)
        except UserError as unreadable:
            return {**_file(path, "TensorRT engine"), "record": f"UNUSABLE: {unreadable}"}
        state = f"DOES NOT MATCH: {error}"
    return {**_file(path, "TensorRT engine"), "record": state, **_built(record)}


def _built(record: EngineRecord) -> Facts:
    by_default = "TensorRT-RTX's default" if record.flavour == "tensorrt-rtx" else None
    return {
        "flavour": record.flavour,
        "version": record.version,
        "platform": record.platform,
        "compute capabilities": list(record.compute_capabilities) or by_default,
        "gpu": record.gpu or "built without one",
        "cuda": record.cuda,
        "driver": record.driver,
        "profiles": [str(profile) for profile in record.profiles],
        **_model(record.metadata),
        "onnx": {"file": record.onnx, "sha256": record.onnx_sha256},
        "table": record.table_sha256,
        "layers": Counter(record.layers.values()) if record.layers else None,
        "build seconds": record.build_seconds,
        "created": record.created,
        "warnings": list(record.warnings),
        "parity": _parity(record.parity) if record.parity else record.parity_reason,
        "build again": record.rebuild_command,
    }


def _parity(report: Facts | None) -> Facts | None:
    """The overall figures; the manifest has the single cases, and `quantisation` the kept layers."""
    if report is None:
        return None
    return {name: value for name, value in report.items() if name not in ("images", "budget", "kept")}


def _json(path: Path) -> Facts:
    """A calibration table, or the manifest of a file in the same directory."""
    artefact = path.with_suffix("")
    if artefact.suffix.lower() in (".onnx", *ENGINES):
        if not artefact.exists():
            raise UserError(
                f"{path}: is the manifest of {artefact.name}, which is missing: put it beside the manifest"
            )
        return inspect_file(artefact)
    return _table(path)


def _table(path: Path) -> Facts:
    from calibration.table import read_table

    table = read_table(path)
    return {
        **_file(path, "calibration table"),
        "method": table.method,
        "tensors": len(table.ranges),
        "images": len(table.images),
        "source": table.source,
        "model": {"sha256": table.model_sha256},
    }
