"""Observes which inputs of a convolution rise and fall together, for the rounding of its weights."""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from calibration.qdq.layers import Layer, output_shapes
from calibration.simulation import Outputs
from granet.app.progress import Progress, no_progress
from runtime.media.frame import Colour, Pixels

Array = NDArray[Any]

POSITIONS = 8192
"""Positions at which each convolution is observed, over all pictures."""

_END = np.iinfo(np.int64).max


def input_moments(
    model: ModelProto,
    layers: Sequence[Layer],
    pictures: Sequence[Pixels],
    colour: Colour,
    progress: Progress = no_progress,
) -> dict[str, Array]:
    """Computes the second moments of the inputs of each layer, on a grid of positions of each picture.

    Args:
        model: the float32 model; not modified.
        layers: convolutions of stride 1, without dilation or groups.
        pictures: at least one, uint8 H x W x 3, RGB, of a size that the model takes.
        colour: colour order of the model's frames.
        progress: called after each picture.

    Returns:
        Name of the weights, O x C x h x w -> mean of the products of every two of their (C h w) inputs,
        float64 (C h w) x (C h w). Each picture counts alike.
    """
    if not layers:
        return {}
    each = POSITIONS / len(pictures)
    largest = max(pictures, key=lambda picture: picture.size)
    shapes = output_shapes(model, layers, largest)
    steps = {layer.op: ceil(sqrt(np.prod(shapes[layer.name][2:]) / each)) for layer in layers}
    observed = Outputs(_observing(model, steps), [_moments(layer.op) for layer in layers])
    sums: dict[str, Array] = {}
    for done, picture in enumerate(pictures, 1):
        frame = np.ascontiguousarray(picture[..., ::-1]) if colour == "bgr" else picture
        for layer, found in zip(layers, observed.run(frame), strict=True):
            sums[layer.weight] = sums.get(layer.weight, 0.0) + found[0].astype(np.float64)
        progress(done, len(pictures), "inputs of the layers")
    return {name: total / len(pictures) for name, total in sums.items()}


def _observing(model: ModelProto, steps: Mapping[str, int]) -> ModelProto:
    """A copy of ``model`` whose outputs are moments: of each convolution, on each ``steps``-th position."""
    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.name in steps:
            nodes += _taken(graph, node, weights[node.input[1]], steps[node.name])
            graph.output.append(helper.make_tensor_value_info(_moments(node.name), TensorProto.FLOAT, None))
    del graph.node[:]
    graph.node.extend(nodes)
    return copy


def _taken(graph: GraphProto, node: NodeProto, dims: Sequence[int], step: int) -> list[NodeProto]:
    """Nodes for the moments of what ``node`` reads at each ``step``-th position: N x (C h w) x (C h w)."""
    _, channels, height, width = dims
    name = _moments(node.name)
    pads = next((list(item.ints) for item in node.attribute if item.name == "pads"), [0, 0, 0, 0])

    def constant(part: str, values: Sequence[int]) -> str:
        full = f"{name}/{part}"
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), full))
        return full

    padding = constant("pads", [0, 0, *pads[:2], 0, 0, *pads[2:]])
    axes, strides = constant("axes", [2, 3]), constant("steps", [step, step])
    nodes, taken = [helper.make_node("Pad", [node.input[0], padding], [f"{name}/padded"])], []
    for row in range(height):
        for column in range(width):
            start = constant(f"{row}/{column}/start", [row, column])
            ends = [_end(row - height + 1), _end(column - width + 1)]
            end = constant(f"{row}/{column}/end", ends)
            taken.append(f"{name}/{row}/{column}")
            nodes.append(
                helper.make_node("Slice", [f"{name}/padded", start, end, axes, strides], [taken[-1]])
            )
    # One axis for the taps, behind the channels: the order of the weights.
    shape = constant("shape", [0, channels, 1, -1])
    flat = [f"{tap}/flat" for tap in taken]
    nodes += [helper.make_node("Reshape", [tap, shape], [one]) for tap, one in zip(taken, flat, strict=True)]
    merged = constant("merged", [0, channels * height * width, -1])
    nodes.append(helper.make_node("Concat", flat, [f"{name}/taps"], axis=2))
    nodes += [
        helper.make_node("Reshape", [f"{name}/taps", merged], [f"{name}/inputs"]),  # N x (C h w) x positions
        helper.make_node("Transpose", [f"{name}/inputs"], [f"{name}/transposed"], perm=[0, 2, 1]),
        helper.make_node("MatMul", [f"{name}/inputs", f"{name}/transposed"], [f"{name}/sum"]),
        helper.make_node("Shape", [f"{name}/inputs"], [f"{name}/positions"], start=2),
        helper.make_node("Cast", [f"{name}/positions"], [f"{name}/count"], to=TensorProto.FLOAT),
        helper.make_node("Div", [f"{name}/sum", f"{name}/count"], [name]),
    ]
    return nodes


def _end(place: int) -> int:
    """A negative end of a slice, counted from the end; none instead of 0."""
    return place or _END


def _moments(op: str) -> str:
    return f"moments/{op}"
