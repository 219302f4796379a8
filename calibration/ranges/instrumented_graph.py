"""Instruments a model: its outputs become the extremes and a sample of each of its tensors.

The reductions are part of the graph, so a tensor is freed as soon as it has been observed: memory stays
close to that of the model alone, and hundreds of feature maps never leave the runtime.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

SAMPLES = 8192
"""Sample size per tensor and frame: from two thirds of this to twice as many values, or all of them."""

START = "probe/start"
"""Name of the int64 input for the offset of the sample; it differs for each frame."""

VALUES, LENGTHS = "probe/values", "probe/lengths"
"""The outputs: the smallest value, the largest value and the sample of each tensor, concatenated over all
tensors; and the number of these values per tensor."""

# Their output has the values of their input in another order, so it need not be observed.
_MOVES = {"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity"} | {
    "SpaceToDepth",
    "DepthToSpace",
}

_QUANTISED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger"}


@dataclass(frozen=True)
class Probe:
    """An instrumented model.

    Attributes:
        model: the serialised model; its inputs are the picture and :data:`START`, its outputs
            :data:`VALUES` and :data:`LENGTHS`.
        tensors: names of the observed tensors, in the order of the outputs.
        same: tensor name -> name of the observed tensor with the same values.
    """

    model: bytes
    tensors: tuple[str, ...]
    same: dict[str, str]


def is_quantised(model: ModelProto) -> bool:
    """Whether a model has 8-bit operators."""
    return any(node.op_type in _QUANTISED for node in model.graph.node)


def build_probe(model: ModelProto) -> Probe:
    """Instruments every float32 input and every computed float32 tensor, except constants.

    Args:
        model: the model; not modified.
    """
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=False)
    floats = _float_tensors(inferred.graph)
    same = _moved(inferred.graph, floats)
    tensors = tuple(name for name in floats if name not in same)
    probe = ModelProto()
    probe.CopyFrom(model)
    graph = probe.graph
    _add_constants(graph)
    _insert_probes(graph, tensors)
    graph.input.append(helper.make_tensor_value_info(START, TensorProto.INT64, [1]))
    del graph.output[:]
    for name, kind in ((VALUES, TensorProto.FLOAT), (LENGTHS, TensorProto.INT64)):
        graph.output.append(helper.make_tensor_value_info(name, kind, [None]))
    return Probe(probe.SerializeToString(), tensors, same)


def _float_tensors(graph: GraphProto) -> list[str]:
    """Names in graph order; a tensor that depends only on constants counts as a constant."""
    typed = [*graph.input, *graph.value_info, *graph.output]
    floats = {item.name for item in typed if item.type.tensor_type.elem_type == TensorProto.FLOAT}
    given = {item.name for item in graph.input} - {item.name for item in graph.initializer}
    varying = set(given)
    found = [item.name for item in graph.input if item.name in floats & given]
    for node in graph.node:
        if varying.isdisjoint(node.input):
            continue
        varying.update(node.output)
        found += [name for name in node.output if name in floats]
    return found


def _moved(graph: GraphProto, floats: Iterable[str]) -> dict[str, str]:
    """Output of an operator that only moves values -> the tensor with the original values."""
    known = set(floats)
    same: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in _MOVES and node.input[0] in known and node.output[0] in known:
            same[node.output[0]] = same.get(node.input[0], node.input[0])
    return same


def _add_constants(graph: GraphProto) -> None:
    values = {"flat": [-1], "zero": [0], "one": [1], "two": [2], "twice": [2 * SAMPLES], "end": [2**63 - 1]}
    for name, value in values.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), f"probe/{name}"))


def _insert_probes(graph: GraphProto, tensors: Sequence[str]) -> None:
    """Inserts probes directly after each tensor, so that it can be freed before the next is computed."""
    wanted = set(tensors)
    nodes = [probe for item in graph.input if item.name in wanted for probe in _probe(item.name)]
    for node in graph.node:
        nodes.append(node)
        nodes += [probe for name in node.output if name in wanted for probe in _probe(name)]
    nodes += _joined(tensors)
    del graph.node[:]
    graph.node.extend(nodes)


def _probe(name: str) -> list[NodeProto]:
    """Nodes for the extremes of a tensor and for a sample of its values at a regular step.

    The step is odd and the start changes with each frame, so that the sample does not always miss the same
    columns of a picture.
    """

    def own(part: str) -> str:
        return f"probe/{name}/{part}"

    def node(kind: str, inputs: list[str], part: str, **attributes: Any) -> NodeProto:
        return helper.make_node(kind, inputs, [own(part)], **attributes)

    return [
        node("Reshape", [name, "probe/flat"], "flat"),
        node("ReduceMin", [own("flat")], "low", keepdims=1),
        node("ReduceMax", [own("flat")], "high", keepdims=1),
        node("Shape", [own("flat")], "size"),
        node("Div", [own("size"), "probe/twice"], "quotient"),
        node("Mul", [own("quotient"), "probe/two"], "even"),
        node("Add", [own("even"), "probe/one"], "step"),
        node("Mod", [START, own("step")], "start"),
        node("Slice", [own("flat"), own("start"), "probe/end", "probe/zero", own("step")], "sample"),
        node("Concat", [own("low"), own("high"), own("sample")], "all", axis=0),
        node("Shape", [own("all")], "length"),
    ]


def _joined(tensors: Sequence[str]) -> list[NodeProto]:
    """Nodes for the outputs: the results of all tensors, concatenated."""
    return [
        helper.make_node("Concat", [f"probe/{name}/{part}" for name in tensors], [output], axis=0)
        for part, output in (("all", VALUES), ("length", LENGTHS))
    ]
