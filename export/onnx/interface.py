"""Compares the inputs and outputs of a graph with its metadata: names, then shapes, then types."""

from collections.abc import Sequence
from typing import Any

import onnx

from runtime.artefacts.metadata import ModelMetadata

_WHAT = ("names", "shapes", "types")


def interface_difference(model: onnx.ModelProto, metadata: ModelMetadata) -> str | None:
    """Describes the first difference; ``None`` if there is none."""
    frames = metadata.layout == "frames"
    sides = (metadata.height, metadata.width)
    shape = (metadata.batch, *sides, 3) if frames else (metadata.batch, 3, *sides)
    kind = onnx.TensorProto.UINT8 if frames else onnx.TensorProto.FLOAT
    expected = [("rainy", shape, kind), *((name, shape, kind) for name in metadata.outputs)]
    found = [_described(value) for value in (*model.graph.input, *model.graph.output)]
    for index, what in enumerate(_WHAT):
        ours, theirs = [[value[index] for value in values] for values in (expected, found)]
        if ours != theirs:
            return f"{what} of inputs and outputs are {_text(what, theirs)}, not {_text(what, ours)}"
    return None


def _described(value: onnx.ValueInfoProto) -> tuple[str, tuple[int | None, ...], int]:
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return value.name, shape, tensor.elem_type


def _text(what: str, values: Sequence[Any]) -> str:
    if what == "types":
        return ", ".join(onnx.TensorProto.DataType.Name(kind) for kind in values)
    return ", ".join(map(str, values))
