"""A copy of a model that gives, instead of pictures, the extremes and a sample of each of its tensors.

The reductions are in the graph, so that a tensor is freed as soon as it has been seen: memory
is little more than that of the model alone, and hundreds of maps never leave the runtime.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

SAMPLES = 8192
"""Values that are taken of a tensor and a frame: two thirds of this to twice as many, or all it has."""

START = "probe/start"
"""Name of the int64 input that says where sampling starts; another for each frame."""

VALUES, LENGTHS = "probe/values", "probe/lengths"
"""The outputs: of each tensor its least value, its largest and a sample, one tensor after another; and
how many values those are of each."""

# They hold the values of their input in another order, so that they need no look of their own.
_MOVES = {"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity"} | {
    "SpaceToDepth",
    "DepthToSpace",
}

_QUANTISED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger"}


@dataclass(frozen=True)
class Probe:
    """A model to be observed.

    Attributes:
        model: serialized; its inputs are the picture and :data:`START`, its outputs
            :data:`VALUES` and :data:`LENGTHS`.
        tensors: names of the observed tensors, in the order of the outputs.
        same: name of a tensor -> name of the observed one that has the same values.
    """

    model: bytes
    tensors: tuple[str, ...]
    same: dict[str, str]


def is_quantised(model: ModelProto) -> bool:
    """Whether a model has 8-bit operators."""
    return any(node.op_type in _QUANTISED for node in model.graph.node)


def build_probe(model: ModelProto) -> Probe:
    """Every float32 tensor that the graph computes or is given, constants left out.

    Args:
        model: not modified.
    """
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=False)
    floats = _float_tensors(inferred.graph)
    same = _moved(inferred.graph, floats)
    tensors = tuple(name for name in floats if name not in same)
    probe = ModelProto()
    probe.CopyFrom(model)
    graph = probe.graph
    _add_constants(graph)
    _insert_looks(graph, tensors)
    graph.input.append(helper.make_tensor_value_info(START, TensorProto.INT64, [1]))
    del graph.output[:]
    for name, kind in ((VALUES, TensorProto.FLOAT), (LENGTHS, TensorProto.INT64)):
        graph.output.append(helper.make_tensor_value_info(name, kind, [None]))
    return Probe(probe.SerializeToString(), tensors, same)


def _float_tensors(graph: GraphProto) -> list[str]:
    """Names, in the order of the graph; what hangs on constants alone is constant too."""
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
    """Output of an operator that only moves values -> where those values were first."""
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


def _insert_looks(graph: GraphProto, tensors: Sequence[str]) -> None:
    """Puts the looks right behind what they look at, so that it can be freed before the next is computed."""
    wanted = set(tensors)
    nodes = [look for item in graph.input if item.name in wanted for look in _look_at(item.name)]
    for node in graph.node:
        nodes.append(node)
        nodes += [look for name in node.output if name in wanted for look in _look_at(name)]
    nodes += _joined(tensors)
    del graph.node[:]
    graph.node.extend(nodes)


def _look_at(name: str) -> list[NodeProto]:
    """Extremes of a tensor, and every so manieth of its values.

    The step is odd and the start moves from frame to frame, so that no column of a picture
    is left out for having a number that divides its width.
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
    """The outputs: the results of all tensors, one after another."""
    return [
        helper.make_node("Concat", [f"probe/{name}/{part}" for name in tensors], [output], axis=0)
        for part, output in (("all", VALUES), ("length", LENGTHS))
    ]
