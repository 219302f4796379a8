"""A lower bound on the time of a network, from its arithmetic and its memory traffic.

In the roofline model (Williams, Waterman and Patterson, 2009) a layer takes at least as long as its
arithmetic at the processor's peak rate, and as its bytes at the memory's bandwidth. Only convolutions and
matrix products count; a multiply-add is two operations. Each of them reads its inputs and writes its
output once. Everything between them (activations, sums, reshapes, pooling) is assumed to be fused for free,
and attention scores are assumed never to be written. A real engine fuses less, so it is slower.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import TensorProto

from calibration.ranges.float32_model import load_onnx
from export.onnx.shapes import GraphShapes
from export.reports.gpus import GpuPeaks
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.metadata import ModelMetadata

HEAVY = ("Conv", "ConvTranspose", "MatMul", "Gemm")

_PRECISIONS: dict[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "fp16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
    TensorProto.FLOAT8E4M3FN: "fp8",
}

_SCORE_OPS = ("Mul", "Div", "Add", "Sub", "Cast", "Where", "Identity")
"""Operators allowed between a matrix product and its softmax."""


@dataclass(frozen=True)
class LayerCost:
    """One convolution or matrix product.

    Attributes:
        name: name of the node.
        flop: number of multiplications and additions.
        bytes: bytes read and written.
        precision: precision of its arithmetic: ``fp32``, ``fp16``, ``int8`` or ``fp8``.
    """

    name: str
    flop: int
    bytes: float
    precision: str

    def seconds(self, gpu: GpuPeaks) -> float:
        """Least time of the layer, in seconds."""
        return max(self.flop / gpu.flops(self.precision), self.bytes / gpu.bandwidth)

    def is_compute_bound(self, gpu: GpuPeaks) -> bool:
        """Whether arithmetic, not memory, sets that time."""
        return self.flop / gpu.flops(self.precision) >= self.bytes / gpu.bandwidth


@dataclass(frozen=True)
class Roofline:
    """A network at one size.

    Attributes:
        size: (height, width) of the padded frames, in pixels.
        batch: frames per run.
        layers: convolutions and matrix products.
        io_bytes: bytes of the frames, in and out.
        weight_bytes: bytes of the weights of all layers; included in the bytes of the layers.
    """

    size: Size
    batch: int
    layers: tuple[LayerCost, ...]
    io_bytes: float
    weight_bytes: float

    @property
    def flop(self) -> int:
        """Operations of all layers."""
        return sum(layer.flop for layer in self.layers)

    @property
    def bytes(self) -> float:
        """Bytes of all layers and of the frames."""
        return self.io_bytes + sum(layer.bytes for layer in self.layers)

    def floor(self, gpu: GpuPeaks) -> float:
        """Least time of a batch in seconds, one layer after the other."""
        return self.io_bytes / gpu.bandwidth + sum(layer.seconds(gpu) for layer in self.layers)

    def compute_share(self, gpu: GpuPeaks) -> float:
        """Share of the floor in layers bound by arithmetic, in [0, 1]."""
        bound = sum(layer.seconds(gpu) for layer in self.layers if layer.is_compute_bound(gpu))
        return bound / self.floor(gpu)

    def by_precision(self) -> dict[str, float]:
        """Share of the arithmetic in each precision."""
        shares: dict[str, float] = {}
        for layer in self.layers:
            shares[layer.precision] = shares.get(layer.precision, 0.0) + layer.flop / self.flop
        return shares


def roofline(path: Path, metadata: ModelMetadata, size: Size | None, batch: int = 1) -> Roofline:
    """Counts the operations and bytes of a model.

    Args:
        path: ONNX file.
        metadata: its metadata.
        size: (height, width) of the frames, padded by the size rule; ``None`` for a static model's own.
        batch: frames per run if the model takes any number.

    Raises:
        UserError: if ``size`` is missing, or not that of a static model, or the model cannot be read.
    """
    height, width = _size_of(path, metadata, size)
    n = metadata.batch or batch
    model = load_onnx(path)
    shape = (n, height, width, 3) if metadata.layout == "frames" else (n, 3, height, width)
    shapes = GraphShapes(model, {model.graph.input[0].name: shape})
    counter = _Counter(model.graph, shapes)
    layers = tuple(counter.layers())
    io_names = [model.graph.input[0].name, *(output.name for output in model.graph.output)]
    io_bytes = sum(counter.size(name) for name in io_names)
    return Roofline((height, width), n, layers, io_bytes, counter.weight_bytes)


def _size_of(path: Path, meta: ModelMetadata, size: Size | None) -> Size:
    own = (meta.height, meta.width)
    if meta.height is None or meta.width is None:
        if size is None:
            raise UserError(f"{path}: takes any size: name one with --size WxH")
        return meta.size_rule.padded_size(*size)
    if size is not None and meta.size_rule.padded_size(*size) != own:
        raise UserError(
            f"{path}: takes only {meta.width}x{meta.height}: omit --size, or export it again with --size"
        )
    return meta.height, meta.width


class _Counter:
    """Walks over the layers of a graph."""

    def __init__(self, graph: onnx.GraphProto, shapes: GraphShapes) -> None:
        self._graph, self._shapes = graph, shapes
        self._weights = {tensor.name for tensor in graph.initializer}
        self._made_by = {name: node for node in graph.node for name in node.output}
        self._used_by: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._used_by.setdefault(name, []).append(node)
        self._scores = self._find_scores()
        self.weight_bytes = 0.0

    def size(self, name: str) -> float:
        """Bytes of a tensor."""
        return prod(self._shapes.shape(name)) * self._shapes.element_bytes(name)

    def layers(self) -> Iterator[LayerCost]:
        """Yields each convolution and matrix product of the graph."""
        for node in self._graph.node:
            if node.op_type in HEAVY:
                yield self._layer(node)

    def _layer(self, node: onnx.NodeProto) -> LayerCost:
        read = [name for name in node.input if name and name not in self._scores]
        stored = [self._stored(name) for name in read]
        self.weight_bytes += sum(self.size(name) for name in stored if self._is_weight(name))
        output = node.output[0]
        written = 0.0 if output in self._scores else self.size(output) * self._written(output)
        moved = sum(self.size(name) for name in stored) + written
        kind = self._shapes.element_type(self._stored(node.input[0]))
        precision = _PRECISIONS.get(kind, "fp32")
        return LayerCost(node.name or output, self._flop(node), moved, precision)

    def _flop(self, node: onnx.NodeProto) -> int:
        """Operations of a layer: a multiplication and an addition per summed product."""
        result = self._shapes.shape(node.output[0])
        if node.op_type in ("Conv", "ConvTranspose"):
            # Conv: M x C/group x k...; ConvTranspose: C x M/group x k..., applied to each input pixel.
            kernel = self._shapes.shape(node.input[1])
            places = result if node.op_type == "Conv" else self._shapes.shape(node.input[0])
            return 2 * prod(places) * prod(kernel[1:])
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        summed = self._shapes.shape(node.input[0])[-2 if transposed else -1]
        return 2 * prod(result) * summed

    def _stored(self, name: str) -> str:
        """The tensor in memory for ``name``: the quantised one if ``name`` is dequantised from it."""
        node = self._made_by.get(name)
        if node is None or node.op_type not in ("DequantizeLinear", "Transpose", "Reshape"):
            return name
        if node.op_type == "DequantizeLinear":
            return str(node.input[0])
        behind = self._stored(node.input[0])
        return name if behind == node.input[0] else behind

    def _is_weight(self, name: str) -> bool:
        """Whether the tensor is a weight; the graph may quantise it."""
        node = self._made_by.get(name)
        quantised = node is not None and node.op_type == "QuantizeLinear"
        return name in self._weights or (quantised and node is not None and node.input[0] in self._weights)

    def _written(self, name: str) -> float:
        """Bytes written relative to the tensor's size: fewer if every reader quantises it first."""
        users = self._used_by.get(name, [])
        followed = 0
        while len(users) == 1 and users[0].op_type in ("Relu", "Add", "Clip") and followed < 3:
            users, followed = self._used_by.get(users[0].output[0], []), followed + 1
        if not users or any(user.op_type != "QuantizeLinear" for user in users):
            return 1.0
        return self._shapes.element_bytes(users[0].output[0]) / self._shapes.element_bytes(name)

    def _find_scores(self) -> set[str]:
        """Attention scores: tensors between a matrix product, its softmax and the next product."""
        found: set[str] = set()
        for node in self._graph.node:
            if node.op_type == "Softmax":
                found.update(node.output)
                pending = [node.input[0]]
                while pending:
                    name = pending.pop()
                    found.add(name)
                    source = self._made_by.get(name)
                    if source is not None and source.op_type in _SCORE_OPS:
                        pending.extend(each for each in source.input if each in self._made_by)
        return found


def shares(line: Roofline, gpu: GpuPeaks, milliseconds: Mapping[str, float]) -> dict[str, float]:
    """The floor as a share of each engine's time; 1 is the fastest possible.

    Args:
        line: roofline of the model at the timed size.
        gpu: the GPU that it was timed on.
        milliseconds: time of a batch by engine.
    """
    floor = 1e3 * line.floor(gpu)
    return {name: floor / time for name, time in milliseconds.items()}
