"""Regional attention in ONNX: MatMul-Softmax-MatMul with the regions as the batch axis.

TensorRT, ONNX Runtime and OpenVINO fuse this pattern. The regions are split into chunks, so that the
scores of a large frame are never in memory all at once. The exporter sees the attention as one operator,
because its symbolic shapes cannot express a grid that grows with the frame (the solver fails on the
divisibility of rows that are themselves a quotient). The translation computes the sizes in the graph.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from onnxscript import opset18 as op
from torch import Tensor, nn

from granet.config import POOLING_LEVELS, GraNetConfig
from granet.model import RegionAwareBlock, regional_attention

SCORES_LIMIT = 256 * 2**20
"""Most bytes of float32 attention scores per chunk of regions."""

FRAME_TO_GRID = 2**POOLING_LEVELS
"""Pixels of a (folded) frame per pixel of a block's map, times its grid: 8x1, 4x2 and 2x4 for the blocks."""

Value = Any  # a value of the graph being traced; onnxscript does not name its type publicly


@torch.library.custom_op("granet::regional_attention", mutates_args=())
def regional_attention_op(
    theta: Tensor, phi: Tensor, g: Tensor, grid: int, extent: int, key_stride: int
) -> Tensor:
    """:func:`granet.model.regional_attention` as one operator, so that the exporter translates it as one.

    ``extent``: pixels of this feature map that one paper grid spans; 0 for the literal grid.
    """
    rows, columns = (grid * _growth(side, extent) for side in theta.shape[-2:])
    return regional_attention(theta, phi, g, rows, columns, key_stride)


@regional_attention_op.register_fake
def _(theta: Tensor, phi: Tensor, g: Tensor, grid: int, extent: int, key_stride: int) -> Tensor:
    return torch.empty_like(theta)


class TranslatableRegionAwareBlock(nn.Module):
    """A region-aware block with :func:`regional_attention_op`; it computes the same numbers."""

    def __init__(self, block: RegionAwareBlock, config: GraNetConfig) -> None:
        """Shares the parameters of ``block``, a block of the network of ``config``."""
        super().__init__()
        self.block = block
        extent = config.region_extent or 0  # in pixels of the frame, before it is folded
        self.extent = extent * block.grid // (FRAME_TO_GRID * config.fold)

    def forward(self, x: Tensor, growth: tuple[int, int]) -> Tensor:
        """N x C x H x W -> the same shape; the operator derives ``growth`` from the shape instead."""
        block = self.block
        attended = regional_attention_op(
            block.theta(x), block.phi(x), block.g(x), block.grid, self.extent, block.key_stride
        )
        out: Tensor = block.out(attended)
        return x + out


def _growth(side: int, extent: int) -> int:
    return (side + extent - 1) // extent if extent else 1


def translate_regional_attention(
    theta: Value, phi: Value, g: Value, grid: int, extent: int, key_stride: int
) -> Value:
    """``granet::regional_attention``: N x D x H x W to the same shape."""
    shape = _Regions.of(theta, grid, extent)
    queries = shape.tokens(theta, "q")
    keys, values = shape.tokens(phi, "k", key_stride), shape.tokens(g, "v", key_stride)
    chunks = shape.chunks(key_stride)
    if chunks == 1:
        return shape.join(_attention(queries, keys, values))
    parts = [op.Split(x, axis=0, num_outputs=chunks) for x in (queries, keys, values)]
    return shape.join(op.Concat(*(_attention(*part) for part in zip(*parts, strict=True)), axis=0))


def _attention(queries: Value, keys: Value, values: Value) -> Value:
    """B x 1 x T x D, B x 1 x D x T', B x 1 x T' x D -> B x 1 x T x D."""
    return op.MatMul(op.Softmax(op.MatMul(queries, keys), axis=-1), values)


@dataclass(frozen=True)
class _Regions:
    """Sizes of a map N x D x (r h) x (c w) and its regions: integers, or values where dynamic."""

    grid: int
    n: Any
    d: int
    rows: Any
    h: Any
    columns: Any
    w: Any

    @classmethod
    def of(cls, x: Value, grid: int, extent: int) -> "_Regions":
        sizes = [
            size if isinstance(size, int) else op.Shape(x, start=i, end=i + 1)
            for i, size in enumerate(x.shape)
        ]
        rows, columns = (_regions_along(side, grid, extent) for side in sizes[2:])
        return cls(
            grid, sizes[0], sizes[1], rows, _divide(sizes[2], rows), columns, _divide(sizes[3], columns)
        )

    def tokens(self, x: Value, role: str, stride: int = 1) -> Value:
        """N x D x (r h) x (c w) -> (N r c) x 1 x (h w) x D, or D x (h w) for keys."""
        x = op.Reshape(x, _shape(self.n, self.d, self.rows, self.h, self.columns, self.w), allowzero=1)
        if stride == 1 and role != "k":
            x = op.Transpose(x, perm=[0, 2, 4, 3, 5, 1])  # N x r x c x h x w x D
            return op.Reshape(x, _shape(-1, 1, _times(self.h, self.w), self.d), allowzero=1)
        x = op.Transpose(x, perm=[0, 2, 4, 1, 3, 5])  # N x r x c x D x h x w
        if stride > 1:
            x = self._whole_windows(op.Reshape(x, _shape(-1, self.d, self.h, self.w), allowzero=1), stride)
        x = op.Reshape(x, _shape(-1, 1, self.d, _times(*self._windows(stride))), allowzero=1)
        return x if role == "k" else op.Transpose(x, perm=[0, 1, 3, 2])

    def _windows(self, stride: int) -> tuple[Any, Any]:
        """Number of keys of a region along its height and its width."""
        return _at_least_one(_divide(self.h, stride)), _at_least_one(_divide(self.w, stride))

    def _whole_windows(self, x: Value, stride: int) -> Value:
        """The max-pooling of :func:`granet.model.regional_attention`, B x D x h x w to B x D x h' x w'.

        Regions that are smaller than a window are padded at the end; MaxPool pads with -infinity. (OpenVINO
        refuses ceil_mode for them.) In a dynamic graph any region could be, so all are padded, and the maxima
        of parts of windows are cut away.
        """
        kernel = [stride] * 2
        sides = [side if isinstance(side, int) else None for side in (self.h, self.w)]
        pads = [0, 0, *(stride - 1 if side is None else max(0, stride - side) for side in sides)]
        x, _ = op.MaxPool(x, kernel_shape=kernel, strides=kernel, pads=pads)
        if None not in sides:
            return x
        return op.Slice(x, _shape(0, 0), _shape(*self._windows(stride)), _shape(2, 3))

    def join(self, x: Value) -> Value:
        """(N r c) x 1 x (h w) x D -> N x D x (r h) x (c w)."""
        x = op.Reshape(x, _shape(self.n, self.rows, self.columns, self.h, self.w, self.d), allowzero=1)
        x = op.Transpose(x, perm=[0, 5, 1, 3, 2, 4])  # N x D x r x h x c x w
        return op.Reshape(
            x, _shape(self.n, self.d, _times(self.rows, self.h), _times(self.columns, self.w)), allowzero=1
        )

    def chunks(self, key_stride: int) -> int:
        """Number of equal chunks of regions.

        A static graph gets the smallest number that keeps the scores of a chunk within the limit. A
        dynamic graph gets one per region of the paper's grid, which divides the regions at every size.
        """
        sizes = (self.n, self.rows, self.columns, self.h, self.w)
        if not all(isinstance(size, int) for size in sizes):
            return self.grid**2
        regions = self.n * self.rows * self.columns
        scores = 4 * regions * self.h * self.w * math.prod(self._windows(key_stride))
        fitting = (n for n in range(1, regions) if regions % n == 0 and scores // n <= SCORES_LIMIT)
        return next(fitting, regions)


def _regions_along(side: Any, grid: int, extent: int) -> Any:
    return _times(grid, _ceil_divide(side, extent)) if extent else grid


def _constant(number: int) -> Value:
    return op.Constant(value_ints=[number])


def _times(a: Any, b: Any) -> Any:
    return a * b if isinstance(a, int) and isinstance(b, int) else op.Mul(*map(_value, (a, b)))


def _divide(a: Any, b: Any) -> Any:
    return a // b if isinstance(a, int) and isinstance(b, int) else op.Div(*map(_value, (a, b)))


def _at_least_one(a: Any) -> Any:
    return max(1, a) if isinstance(a, int) else op.Max(a, _constant(1))


def _ceil_divide(a: Any, b: int) -> Any:
    return (a + b - 1) // b if isinstance(a, int) else op.Div(op.Add(a, _constant(b - 1)), _constant(b))


def _value(size: Any) -> Value:
    return _constant(size) if isinstance(size, int) else size


def _shape(*sizes: Any) -> Value:
    if all(isinstance(size, int) for size in sizes):
        return op.Constant(value_ints=list(sizes))
    return op.Concat(*map(_value, sizes), axis=0)
