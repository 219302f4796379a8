"""ONNX files made by hand with the metadata of an exported GraNet: small, fast, and exact.

The network in them is ``255 - x``, so that what an engine must give is known to the last bit.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from runtime.artefacts.manifest import manifest_content, manifest_path
from runtime.artefacts.metadata import ModelMetadata

METADATA = ModelMetadata(
    config={},
    checkpoint="best.pt",
    checkpoint_sha256="0" * 64,
    precision="fp32",
    layout="frames",
    colour="bgr",
    multiple=8,
    extent=512,
    height=None,
    width=None,
    batch=None,
    outputs=["derained"],
    versions={"onnx": onnx.__version__},
)


def inverting_model(**changes: Any) -> onnx.ModelProto:
    """``255 - x`` for the layout, the sizes and the batch in ``changes`` (of :data:`METADATA`)."""
    metadata = replace(METADATA, **changes)
    sides = (metadata.height or "h", metadata.width or "w")
    if metadata.layout == "frames":
        kind, shape, top = TensorProto.UINT8, (metadata.batch or "n", *sides, 3), 255
    else:
        kind, shape, top = TensorProto.FLOAT, (metadata.batch or "n", 3, *sides), 1.0
    model = _model(
        nodes=[
            helper.make_node("Sub", ["top", "rainy"], [metadata.outputs[0]]),
            helper.make_node("Identity", ["rainy"], ["mask"]),
        ],
        inputs=[helper.make_tensor_value_info("rainy", kind, shape)],
        outputs=[
            # The rain-free image is found by its name, not by its place.
            helper.make_tensor_value_info("mask", kind, shape),
            helper.make_tensor_value_info(metadata.outputs[0], kind, shape),
        ],
        initializers=[helper.make_tensor("top", kind, [], [top])],
    )
    helper.set_model_props(model, {"producer": "by hand", "granet": metadata.to_json()})
    return model


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def inverting_file(path: Path, **changes: Any) -> Path:
    return save(inverting_model(**changes), path)


def _model(**parts: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        parts["nodes"], "by_hand", parts["inputs"], parts["outputs"], initializer=parts["initializers"]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def write_manifest(
    artefact: Path, sha256: str, metadata: ModelMetadata, parity: dict[str, Any] | None = None
) -> Path:
    """Writes the manifest of a file, as ``granet-export`` does."""
    path = manifest_path(artefact)
    path.write_bytes(manifest_content(artefact, sha256, metadata, parity))
    return path
