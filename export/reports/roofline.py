"""How fast a network could be: its arithmetic, the bytes it must move, and the floor that both set.

The roofline model (Williams, Waterman and Patterson, 2009): a layer takes at least as long as its arithmetic
takes at the processor's peak, and as its bytes take at the memory's. Arithmetic is that of convolutions and
matrix products, a multiplication and an addition being two operations. Bytes are what those layers read and
write once each, everything between them (activations, sums, reshapes, pooling) taken as fused into them for
free; the scores of attention are taken as never written. A real engine fuses less, so it is above the floor.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import TensorProto

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
"""What may lie between a matrix product and its softmax."""


@dataclass(frozen=True)
class LayerCost:
    """One convolution or matrix product.

    Attributes:
        name: of the node.
        flop: multiplications and additions.
        bytes: read and written.
        precision: ``fp32``, ``fp16``, ``int8`` or ``fp8``: that of its arithmetic.
    """

    name: str
    flop: int
    bytes: float
    precision: str

    def seconds(self, gpu: GpuPeaks) -> float:
        """The least time it takes."""
        return max(self.flop / gpu.flops(self.precision), self.bytes / gpu.bandwidth)

    def is_compute_bound(self, gpu: GpuPeaks) -> bool:
        """Whether the arithmetic and not the memory sets that time."""
        return self.flop / gpu.flops(self.precision) >= self.bytes / gpu.bandwidth


@dataclass(frozen=True)
class Roofline:
    """A network at one size.

    Attributes:
        size: (height, width) of the frames that the graph computes on, in pixels.
        batch: frames.
        layers: the layers that count.
        io_bytes: of the frames themselves, in and out.
        weight_bytes: of all layers; part of their bytes.
    """

    size: Size
    batch: int
    layers: tuple[LayerCost, ...]
    io_bytes: float
    weight_bytes: float

    @property
    def flop(self) -> int:
        """Of all layers."""
        return sum(layer.flop for layer in self.layers)

    @property
    def bytes(self) -> float:
        """Of all layers and the frames."""
        return self.io_bytes + sum(layer.bytes for layer in self.layers)

    def floor(self, gpu: GpuPeaks) -> float:
        """Seconds that a batch takes at least, one layer after the other."""
        return self.io_bytes / gpu.bandwidth + sum(layer.seconds(gpu) for layer in self.layers)

    def compute_share(self, gpu: GpuPeaks) -> float:
        """Share of the floor in layers that arithmetic bounds, in [0, 1]."""
        bound = sum(layer.seconds(gpu) for layer in self.layers if layer.is_compute_bound(gpu))
        return bound / self.floor(gpu)

    def by_precision(self) -> dict[str, float]:
        """Share of the arithmetic in each precision."""
        shares: dict[str, float] = {}
        for layer in self.layers:
            shares[layer.precision] = shares.get(layer.precision, 0.0) + layer.flop / self.flop
        return shares


def roofline(path: Path, metadata: ModelMetadata, size: Size | None, batch: int = 1) -> Roofline:
    """Counts a model.

    Args:
        path: ONNX file.
        metadata: what it says of itself.
        size: (height, width) of the frames; padded as the network needs it. ``None`` for a static model.
        batch: frames at once, of a model that leaves it open.

    Raises:
        UserError: if a static model is asked for another size, or the model cannot be read.
    """
    height, width = _size_of(path, metadata, size)
    n = metadata.batch or batch
    try:
        model = onnx.load(path)
    except Exception as error:
        raise UserError(f"{path}: cannot be read as ONNX: {error}") from error
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
        raise UserError(f"{path}: is for {meta.width}x{meta.height} alone: export it with --size")
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
        """Each convolution and matrix product of the graph."""
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
        """A multiplication and an addition for each product that is summed."""
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
        """The tensor that lies in memory for ``name``: behind a DequantizeLinear the quantised one."""
        node = self._made_by.get(name)
        if node is None or node.op_type not in ("DequantizeLinear", "Transpose", "Reshape"):
            return name
        if node.op_type == "DequantizeLinear":
            return str(node.input[0])
        behind = self._stored(node.input[0])
        return name if behind == node.input[0] else behind

    def _is_weight(self, name: str) -> bool:
        """Whether it comes with the model; it may be quantised in the graph."""
        node = self._made_by.get(name)
        quantised = node is not None and node.op_type == "QuantizeLinear"
        return name in self._weights or (quantised and node is not None and node.input[0] in self._weights)

    def _written(self, name: str) -> float:
        """Bytes written over bytes of the tensor: less where all that read it quantise it first."""
        users = self._used_by.get(name, [])
        followed = 0
        while len(users) == 1 and users[0].op_type in ("Relu", "Add", "Clip") and followed < 3:
            users, followed = self._used_by.get(users[0].output[0], []), followed + 1
        if not users or any(user.op_type != "QuantizeLinear" for user in users):
            return 1.0
        return self._shapes.element_bytes(users[0].output[0]) / self._shapes.element_bytes(name)

    def _find_scores(self) -> set[str]:
        """Tensors between a matrix product and its softmax, and from there to the next product."""
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
    """What part of each engine's time the floor is: 1 is as fast as can be.

    Args:
        line: of the model at the size that was timed.
        gpu: that it was timed on.
        milliseconds: of a batch, by engine.
    """
    floor = 1e3 * line.floor(gpu)
    return {name: floor / time for name, time in milliseconds.items()}
