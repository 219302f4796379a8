"""Converts the stages of a model from float32 to float16, with explicit types as TensorRT 11 requires.

Both stages of the network are converted, from their first convolution to their last. The rest stays
float32: the picture itself, the subtraction of the mask, the addition of the reconstruction and the
rounding. float16 has 11 significant bits, so a picture in it would be off by up to an eighth of a grey
level; mask and reconstruction are small and lose far less. The result is the same graph that
``granet-export onnx --fp16`` makes from a checkpoint.
"""

from collections.abc import Mapping

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from calibration.qdq.layers import FIRST, LAST, layers_of
from granet.errors import UserError

HALF = "/half"
"""Suffix of the names of float16 copies of float32 tensors."""


def to_half(model: ModelProto) -> ModelProto:
    """Returns a copy of a float32 ``model`` whose stages compute in float16.

    Raises:
        UserError: if a weight exceeds 65504, the largest number of float16, or no stage is found.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    names = {layer.op: layer.name for layer in layers_of(graph)}
    stages = _stages(graph, names)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    halves: dict[str, TensorProto] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.name not in stages:
            nodes.append(node)
            continue
        for index, name in enumerate(node.input):
            if name in tensors and tensors[name].data_type == TensorProto.FLOAT:
                halves[name] = _half(tensors[name])
                node.input[index] = name + HALF
        nodes += _at_the_ends(node, names.get(node.name))
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [tensor for name, tensor in tensors.items() if name in read]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *halves.values()])
    del graph.value_info[:]  # describes the float32 model
    return result


def _stages(graph: GraphProto, names: Mapping[str, str]) -> set[str]:
    """Names of the nodes from the first convolution of a stage to its last; ``names`` of convolutions."""
    found: set[str] = set()
    inside: set[str] = set()
    for node in graph.node:
        name = names.get(node.name)
        if inside.intersection(node.input) or name in FIRST:
            found.add(node.name)
            if name not in LAST:
                inside.update(node.output)
    if not found:
        raise UserError("no stage of the network was found in the model: export it again")
    return found


def _at_the_ends(node: NodeProto, name: str | None) -> list[NodeProto]:
    """The node with a cast before it where a stage begins, and after it where one ends."""
    before, after = [], []
    if name in FIRST:
        source = node.input[0]
        node.input[0] = source + HALF
        before.append(_cast(source, source + HALF, TensorProto.FLOAT16))
    if name in LAST:
        result = node.output[0]
        node.output[0] = result + HALF
        after.append(_cast(result + HALF, result, TensorProto.FLOAT))
    return [*before, node, *after]


def _cast(source: str, result: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [result], f"{result}/cast", to=kind)


def _half(tensor: TensorProto) -> TensorProto:
    array = numpy_helper.to_array(tensor)
    if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        raise UserError(
            f"{tensor.name} has weights too large for float16: leave the model in float32, "
            "or quantise it with --target cpu"
        )
    return numpy_helper.from_array(array.astype(np.float16), tensor.name + HALF)
