"""The convolutions of an exported model, by their names in the network, and their arithmetic."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper

from calibration.qdq.placement import CONVOLUTION, Op
from calibration.simulation import Outputs
from granet.errors import UserError
from runtime.media.frame import Pixels

_NETWORK, _WEIGHT, _WRAPPER = "network.", ".weight", ".block."

FIRST, LAST = ("coarse.head", "fine.head"), ("coarse.mask", "fine.reconstruct")
"""The first and the last convolution of each stage. The number of channels does not identify them: a folded
picture has 12, and so may layers in between."""


@dataclass(frozen=True)
class Layer:
    """A convolution.

    Attributes:
        name: name in the network, such as ``coarse.local.0.fusion``.
        op: name of the ONNX node.
        source: name of its input tensor.
        weight: name of its weights.
    """

    name: str
    op: str
    source: str
    weight: str


def graph_ops(graph: GraphProto) -> list[Op]:
    """The nodes of a graph, in the form that :func:`calibration.qdq.placement.place` takes."""
    return [Op(node.name, node.op_type, tuple(node.input), tuple(node.output)) for node in graph.node]


def layers_of(graph: GraphProto) -> list[Layer]:
    """All convolutions, in graph order.

    Raises:
        UserError: if there are none.
    """
    found = [
        Layer(_layer_name(node.input[1]), node.name, node.input[0], node.input[1])
        for node in graph.node
        if node.op_type == CONVOLUTION
    ]
    if not found:
        raise UserError("the model has no convolutions: nothing can be quantised")
    return found


def require_layers(layers: Sequence[Layer], names: Collection[str]) -> None:
    """Checks that each name matches a layer; a prefix such as ``coarse.local.0`` matches all below it.

    Raises:
        UserError: for an unknown name; the message lists the known ones.
    """
    for name in names:
        if not chosen(layers, [name]):
            known = ", ".join(layer.name for layer in layers)
            raise UserError(f"--keep {name}: unknown layer: choose from {known}")


def chosen(layers: Sequence[Layer], names: Collection[str]) -> set[str]:
    """Names of the layers that match ``names``, exactly or by a prefix that ends at a dot."""
    return {
        layer.name
        for layer in layers
        if any(layer.name == name or layer.name.startswith(f"{name}.") for name in names)
    }


def output_shapes(
    model: ModelProto, layers: Sequence[Layer], picture: Pixels
) -> Mapping[str, tuple[int, ...]]:
    """The shape of each layer's output for one picture, (N, C, H, W) by layer name.

    Args:
        model: the float32 model; not modified.
        layers: its layers.
        picture: uint8 H x W x 3, of a size that the model takes.
    """
    names = {layer.op: f"shape/{number}" for number, layer in enumerate(layers)}
    sized = ModelProto()
    sized.CopyFrom(model)
    nodes = []
    for node in sized.graph.node:
        nodes.append(node)
        if node.name in names:
            nodes.append(helper.make_node("Shape", [node.output[0]], [names[node.name]]))
    del sized.graph.node[:]
    sized.graph.node.extend(nodes)
    sized.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.INT64, [4]) for name in names.values()
    )
    shapes = Outputs(sized, [names[layer.op] for layer in layers]).run(picture)
    return {layer.name: tuple(map(int, shape)) for layer, shape in zip(layers, shapes, strict=True)}


def multiplications(model: ModelProto, layers: Sequence[Layer], picture: Pixels) -> Mapping[str, int]:
    """Counts the multiply-accumulates of each layer for one picture, by layer name.

    Arguments as for :func:`output_shapes`.
    """
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    shapes = output_shapes(model, layers, picture)
    return {
        layer.name: int(np.prod(shapes[layer.name])) * int(np.prod(weights[layer.weight][1:]))
        for layer in layers
    }


def _layer_name(weight: str) -> str:
    """``tensors.stages.network.coarse.region_aware.0.block.phi.weight`` -> ``coarse.region_aware.0.phi``."""
    return weight.rpartition(_NETWORK)[2].removesuffix(_WEIGHT).replace(_WRAPPER, ".")
