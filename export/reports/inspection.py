"""Describes a file from its manifest and its content, without executing anything."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from granet.app.extras import require
from granet.errors import UserError
from runtime.artefacts.manifest import manifest_path, read_manifest, sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import read_metadata
from runtime.open import CHECKPOINTS, ENGINES
from runtime.tensorrt.record import EngineRecord, read_record
from runtime.tensorrt.trust import read_trusted

Facts = dict[str, Any]
"""Names and JSON values, in the order that a person reads them."""


def inspect_file(path: Path) -> Facts:
    """Describes a checkpoint, an ONNX model, an engine, a calibration table, or a manifest of one.

    Raises:
        UserError: if the file is missing, damaged or not of this project.
    """
    if path.is_dir():
        raise UserError(f"{path}: a directory: name a file")
    if not path.exists():
        raise UserError(f"{path}: no such file")
    describe = _describer(path)
    if describe is None:
        known = ", ".join((".onnx", *ENGINES, *CHECKPOINTS, ".json"))
        raise UserError(f"{path}: not a file of ours: their names end in {known}")
    return describe(path)


def _describer(path: Path) -> Callable[[Path], Facts] | None:
    suffix = path.suffix.lower()
    if suffix in CHECKPOINTS:
        return _checkpoint
    if suffix in ENGINES:
        return _engine
    return {".onnx": _onnx, ".json": _json}.get(suffix)


def _file(path: Path, kind: str) -> Facts:
    return {"file": str(path), "kind": kind, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _checkpoint(path: Path) -> Facts:
    require(f"{path}: looking into it", "torch")
    from granet.checkpoint import read_checkpoint

    loaded = read_checkpoint(path)
    parameters = sum(tensor.numel() for tensor in loaded.state.values())
    return {
        **_file(path, "checkpoint of GraNet"),
        "parameters": parameters,
        "network": asdict(loaded.config),
        "weights": dict(loaded.facts),
    }


def _model(metadata: ModelMetadata) -> Facts:
    """What an ONNX model and an engine say alike."""
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
    metadata = read_metadata(path)
    facts = {**_file(path, "ONNX model"), **_model(metadata), **_graph(path)}
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


def _graph(path: Path) -> Facts:
    require(f"{path}: looking into it", "onnx")
    import onnx

    model = onnx.load(path)
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
    """The figures; the cases one by one are in the manifest, and what was kept among the quantisation."""
    if report is None:
        return None
    return {name: value for name, value in report.items() if name not in ("images", "budget", "kept")}


def _json(path: Path) -> Facts:
    """A calibration table, or the manifest of a file that is beside it."""
    artefact = path.with_suffix("")
    if artefact.suffix.lower() in (".onnx", *ENGINES):
        if not artefact.exists():
            raise UserError(f"{path}: the manifest of {artefact.name}, which is not here")
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
