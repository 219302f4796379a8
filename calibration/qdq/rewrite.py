"""Inserts explicit QuantizeLinear/DequantizeLinear pairs into an ONNX graph, according to a placement."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from calibration.qdq.fp16 import HALF
from calibration.qdq.placement import Placement
from calibration.table import Range
from granet.errors import UserError

Array = NDArray[Any]


@dataclass(frozen=True)
class Scheme:
    """An 8-bit number format.

    Attributes:
        activations: dtype of activations.
        weights: dtype of weights, whose zero-point is 0.
        largest: 8-bit value of the largest weight, and of the largest symmetric activation.
        affine: whether activations have a zero-point; TensorRT takes only 0.
    """

    activations: Any
    weights: Any
    largest: float
    affine: bool = False


SCHEMES = {
    "int8": Scheme(np.int8, np.int8, 127.0),
    "uint8": Scheme(np.uint8, np.int8, 127.0, affine=True),
    "fp8": Scheme(ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fn, 448.0),
}
"""``int8`` and ``fp8`` (E4M3) for TensorRT. ``uint8`` for CPUs: values after a ReLU get all 256 levels, and
CPU instructions multiply unsigned by signed bytes."""


NARROW = 63.0
"""Largest weight where two products of bytes must fit into 16 bits: 2 x 255 x 63 < 2**15."""

Rounding = Callable[[str, Array, Callable[[Array], Array]], Array]
"""Rounds weights: a function of their name, their values in steps (O x C x h x w) and the rounding of single
values."""


def to_nearest(name: str, steps: Array, rounded: Callable[[Array], Array]) -> Array:
    """Rounds each weight to the nearest step."""
    return rounded(steps)


def quantise(
    model: ModelProto,
    ranges: Mapping[str, Range],
    placement: Placement,
    scheme: Scheme,
    rounding: Rounding = to_nearest,
    narrow: Collection[str] = (),
) -> ModelProto:
    """Returns a copy of ``model`` with Q/DQ pairs.

    Biases stay unchanged: TensorRT's parser refuses integer biases. Scales have the type of the tensor that
    they scale, which is float16 if the network computes in float16.

    Args:
        model: a float32 model, or a result of :func:`calibration.qdq.fp16.to_half`; not modified.
        ranges: tensor name -> range of the 8-bit values.
        placement: from :func:`calibration.qdq.placement.place` for this graph.
        scheme: one of :data:`SCHEMES`.
        rounding: rounds the weights.
        narrow: names of the weights whose largest value is :data:`NARROW`.

    Raises:
        UserError: if a tensor has no range.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    writer = _Writer(graph, ranges, placement, scheme, rounding, narrow)
    nodes = [new for item in graph.input for new in writer.of_input(item.name)]
    nodes += [new for node in graph.node for new in writer.rewritten(node)]
    del graph.node[:]
    graph.node.extend(_alive(nodes, {output.name for output in graph.output}))
    _drop_unused(graph)
    del graph.value_info[:]  # describes the tensors of the original model
    return result


class _Writer:
    """Rewrites the nodes of one graph, one after another."""

    def __init__(
        self,
        graph: GraphProto,
        ranges: Mapping[str, Range],
        placement: Placement,
        scheme: Scheme,
        rounding: Rounding,
        narrow: Collection[str],
    ) -> None:
        self._graph = graph
        self._narrow = narrow
        self._rounding = rounding
        self._ranges = ranges
        self._placement = placement
        self._scheme = scheme
        self._written: set[str] = set()
        self._arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._dtype = _network_dtype(graph, self._arrays)

    def rewritten(self, node: NodeProto) -> list[NodeProto]:
        """The node, preceded by its dequantised weights and followed by the pairs on its outputs."""
        nodes = []
        if node.name in self._placement.convolutions:
            nodes += self._weights(node)
            node.input[0] = _dequantised(node.input[0])
        nodes.append(node)
        for tensor in node.output:
            if tensor in self._placement.scales:
                nodes += self._pair(node, tensor)
        return nodes

    def of_input(self, tensor: str) -> list[NodeProto]:
        """The pair on an input of the graph; none if no quantised convolution reads it."""
        if tensor not in self._placement.scales:
            return []
        return self._simple_pair(tensor, tensor, self._parameters(tensor)[0])

    def _weights(self, node: NodeProto) -> list[NodeProto]:
        """Quantises weights per output channel, by the largest of each; shared ones only once."""
        name = node.input[1]
        node.input[1] = _dequantised(name)
        if name in self._written:
            return []
        self._written.add(name)
        weights = self._arrays[name].astype(np.float32)
        most = NARROW if name in self._narrow else self._scheme.largest
        scale = self._scale(np.abs(weights).reshape(len(weights), -1).max(axis=1) / most)
        steps = weights / scale.astype(np.float32).reshape(-1, *[1] * (weights.ndim - 1))
        rounded = partial(_rounded, dtype=self._scheme.weights, largest=most)
        found = self._rounding(name.removesuffix(HALF), steps, rounded)
        self._constant(f"{name}/q", found.astype(self._scheme.weights))
        self._constant(f"{name}/scale", scale)
        self._constant(f"{name}/zero", np.zeros(len(weights), self._scheme.weights))
        inputs = [f"{name}/q", f"{name}/scale", f"{name}/zero"]
        return [
            helper.make_node("DequantizeLinear", inputs, [_dequantised(name)], f"{name}/dequantise", axis=0)
        ]

    def _pair(self, node: NodeProto, tensor: str) -> list[NodeProto]:
        parameters, zero = self._parameters(tensor)
        nodes, source = [], tensor
        if node.name in self._placement.concatenations:
            if self._scheme.affine:
                return [_repeated(node, _steps, _steps(tensor)), _dequantise(tensor, parameters)]
            source = f"{tensor}/concat"
            nodes.append(_repeated(node, _dequantised, source))
        elif self._scheme.affine and node.op_type == "Relu" and zero != 0:
            source = f"{tensor}/quantised"
            nodes += _relu_of_steps(node, source, parameters)
        return [*nodes, *self._simple_pair(source, tensor, parameters)]

    def _simple_pair(self, source: str, tensor: str, parameters: list[str]) -> list[NodeProto]:
        return [_quantise(source, tensor, parameters), _dequantise(tensor, parameters)]

    def _parameters(self, tensor: str) -> tuple[list[str], Array]:
        """The names of scale and zero-point of an activation, and the zero-point."""
        scale, zero = self._activation_scale(tensor)
        self._constant(f"{tensor}/scale", scale)
        self._constant(f"{tensor}/zero", zero)
        return [f"{tensor}/scale", f"{tensor}/zero"], zero

    def _activation_scale(self, tensor: str) -> tuple[Array, Array]:
        """Scale and zero-point of an activation, both scalars."""
        name = self._placement.scales[tensor].removesuffix(HALF)
        if name not in self._ranges:
            raise UserError(
                f"the calibration table has no range for {name}: make a new one with granet-export calibrate"
            )
        low, high = self._ranges[name]
        if not self._scheme.affine:
            scale = self._scale(np.asarray(max(-low, high) / self._scheme.largest))
            return scale, np.zeros((), self._scheme.activations)
        scale = self._scale(np.asarray((high - low) / 255))
        zero = np.clip(np.rint(-low / float(scale)), 0, 255)
        return scale, np.asarray(zero, self._scheme.activations)

    def _scale(self, values: Array) -> Array:
        """The scale in the network's dtype, never 0: a tensor that is always 0 can have any scale."""
        scale = np.asarray(values, self._dtype)
        return np.where(scale > 0, scale, np.ones_like(scale))

    def _constant(self, name: str, array: Array) -> None:
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))


def _network_dtype(graph: GraphProto, arrays: Mapping[str, Array]) -> Any:
    return next(arrays[node.input[1]].dtype for node in graph.node if node.op_type == "Conv")


def _rounded(steps: Array, dtype: Any, largest: float) -> Array:
    """Rounds to the nearest number of ``dtype``; integers half to even, as QuantizeLinear does."""
    clipped = np.clip(steps, -largest, largest)
    return np.asarray(np.rint(clipped) if np.issubdtype(dtype, np.integer) else clipped).astype(dtype)


def _dequantised(tensor: str) -> str:
    return f"{tensor}/dq"


def _steps(tensor: str) -> str:
    return f"{tensor}/q"


def _quantise(source: str, tensor: str, parameters: list[str]) -> NodeProto:
    return helper.make_node("QuantizeLinear", [source, *parameters], [_steps(tensor)], f"{tensor}/quantise")


def _dequantise(tensor: str, parameters: list[str]) -> NodeProto:
    return helper.make_node(
        "DequantizeLinear", [_steps(tensor), *parameters], [_dequantised(tensor)], f"{tensor}/dequantise"
    )


def _repeated(node: NodeProto, of_part: Callable[[str], str], output: str) -> NodeProto:
    """A copy of the concatenation ``node`` on the quantised or dequantised parts."""
    repeated = NodeProto()
    repeated.CopyFrom(node)
    repeated.name = f"{node.name}/quantised"
    repeated.input[:] = [of_part(part) for part in node.input]
    repeated.output[:] = [output]
    return repeated


def _relu_of_steps(relu: NodeProto, output: str, parameters: list[str]) -> list[NodeProto]:
    """``relu`` after a Q/DQ pair with the same scale, which changes no value.

    ONNX Runtime computes a convolution in 8 bits only if its output is quantised directly. It removes a ReLU
    in between if the zero-point is 0, because unsigned rounding then includes the ReLU. For other zero-points
    it has 8-bit kernels only for LeakyRelu.
    """
    before = relu.input[0]
    return [
        _quantise(before, before, parameters),
        _dequantise(before, parameters),
        helper.make_node("LeakyRelu", [_dequantised(before)], [output], f"{relu.name}/quantised", alpha=0.0),
    ]


def _alive(nodes: Iterable[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """Removes nodes that no other node reads: concatenations whose readers are all quantised."""
    needed, kept = set(outputs), []
    for node in reversed(list(nodes)):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]


def _drop_unused(graph: GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    kept: list[TensorProto] = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
