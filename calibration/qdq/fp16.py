"""Float32 to float16 in the file: typed, as TensorRT 11 wants it, and only where it does no harm.

Both stages of the network are converted, from their first convolution to their last. What lies
outside stays float32: the picture itself, the subtraction of the mask, the addition of the
reconstruction and the rounding. float16 holds 11 bits, so that a picture kept in it would be off by up
to an eighth of a grey level; mask and reconstruction are small and lose far less. It is the same graph
that ``granet-export onnx --fp16`` makes of a checkpoint.
"""

from collections.abc import Mapping

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from granet.errors import UserError

HALF = "/half"
"""Ends the names of float16 copies of float32 tensors."""

PICTURE_CHANNELS = 3
"""A stage begins with the convolution that reads this many channels and ends with the one that makes them."""


def to_half(model: ModelProto) -> ModelProto:
    """A copy of a float32 ``model`` whose stages compute in float16.

    Raises:
        UserError: if a weight is beyond float16's largest number, 65504, or no stage is found.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    stages = _stages(graph, shapes)
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
        nodes += _at_the_ends(node, shapes)
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [tensor for name, tensor in tensors.items() if name in read]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *halves.values()])
    del graph.value_info[:]  # of the float32 model
    return result


def _stages(graph: GraphProto, shapes: Mapping[str, tuple[int, ...]]) -> set[str]:
    """Names of the nodes from the first convolution of a stage to its last."""
    found: set[str] = set()
    inside: set[str] = set()
    for node in graph.node:
        if inside.intersection(node.input) or _reads_picture(node, shapes):
            found.add(node.name)
            if not _makes_picture(node, shapes):
                inside.update(node.output)
    if not found:
        raise UserError("no stage of the network was found in the model: export it again")
    return found


def _reads_picture(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return node.op_type == "Conv" and shapes.get(node.input[1], ())[1:2] == (PICTURE_CHANNELS,)


def _makes_picture(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return node.op_type == "Conv" and shapes.get(node.input[1], ())[:1] == (PICTURE_CHANNELS,)


def _at_the_ends(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> list[NodeProto]:
    """The node with a cast before it where a stage begins, and after it where one ends."""
    before, after = [], []
    original = [name.removesuffix(HALF) for name in node.input]
    if node.op_type == "Conv" and shapes[original[1]][1] == PICTURE_CHANNELS:
        source = node.input[0]
        node.input[0] = source + HALF
        before.append(_cast(source, source + HALF, TensorProto.FLOAT16))
    if node.op_type == "Conv" and shapes[original[1]][0] == PICTURE_CHANNELS:
        result = node.output[0]
        node.output[0] = result + HALF
        after.append(_cast(result + HALF, result, TensorProto.FLOAT))
    return [*before, node, *after]


def _cast(source: str, result: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [result], f"{result}/cast", to=kind)


def _half(tensor: TensorProto) -> TensorProto:
    array = numpy_helper.to_array(tensor)
    if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        raise UserError(f"{tensor.name} has weights beyond float16's largest number: use --precision fp32")
    return numpy_helper.from_array(array.astype(np.float16), tensor.name + HALF)
