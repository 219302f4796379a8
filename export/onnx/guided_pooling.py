"""Max-pooling and guided unpooling in ONNX, without indices.

TensorRT parses neither MaxUnpool nor MaxPool's Indices output. A 2x2 window has four phases; the
first that holds the maximum (row-major, as PyTorch resolves ties) wins, and unpooling puts the
value back into the winner's phase:

    x --Slice with step 2--> p0 p1 p2 p3,  m = MaxPool(x)     won_i = (p_i == m) and no earlier phase won
    v --> won_i ? v : 0  for the four phases --DepthToSpace--> unpooled

Ties are common after a ReLU, so the order matters. Values are only copied, so the result equals
PyTorch's bit for bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

from onnxscript import opset18 as op

Value = Any  # a value of the graph being traced; onnxscript does not name its type publicly
Translation = Callable[..., Any]

_END = 2**31 - 1
"""Slices as far as the axis goes, in every runtime."""


def guided_pooling() -> tuple[Translation, Translation]:
    """Translations of 2x2 max-pooling and of guided unpooling.

    The two share the winners of each pooling, so use a new pair for each export.
    """
    winners: dict[Value, list[Value]] = {}  # keyed by the token, since the exporter renames values

    def max_pool2d_with_indices(
        x: Value,
        kernel_size: Sequence[int],
        stride: Sequence[int] = (),
        padding: Sequence[int] = (0, 0),
        dilation: Sequence[int] = (1, 1),
        ceil_mode: bool = False,
    ) -> tuple[Value, Value]:
        """Maxima, and a token that stands for their indices."""
        kernel, steps, pads = _pair(kernel_size), _pair(stride or kernel_size), _pair(padding)
        pooled, _ = op.MaxPool(
            x,
            kernel_shape=kernel,
            strides=steps,
            pads=[*pads, *pads],
            dilations=_pair(dilation),
            ceil_mode=int(ceil_mode),
        )
        # unpool only looks up the token, so it is removed as a dead node.
        token = op.Cast(pooled, to=7)
        if kernel == steps == [2, 2] and pads == [0, 0] and not ceil_mode:
            winners[token] = _first_maxima(x, pooled)
        return pooled, token

    def max_unpool2d(x: Value, indices: Value, output_size: Sequence[int]) -> Value:
        """Puts each value into the winning phase, and zero elsewhere."""
        if indices not in winners:
            raise NotImplementedError("max_unpool2d is translated for the indices of a 2x2 max_pool2d only")
        zero = op.CastLike(op.Constant(value_float=0.0), x)
        phases = [op.Where(won, x, zero) for won in winners[indices]]
        return op.DepthToSpace(op.Concat(*phases, axis=1), blocksize=2, mode="DCR")

    return max_pool2d_with_indices, max_unpool2d


def _first_maxima(x: Value, pooled: Value) -> list[Value]:
    """Four masks N x C x h x w: whether each phase of the 2x2 windows holds the first maximum."""
    winners = []
    unwon = None
    for row, column in ((0, 0), (0, 1), (1, 0)):
        phase = _every_second(x, row, column)
        equal = op.Equal(phase, pooled)
        winners.append(equal if unwon is None else op.And(unwon, equal))
        unwon = op.Not(equal) if unwon is None else op.And(unwon, op.Not(equal))
    return [*winners, unwon]


def _every_second(x: Value, row: int, column: int) -> Value:
    """N x C x H x W -> N x C x H/2 x W/2: one phase of the windows, counted from ``row`` and ``column``."""
    starts, ends = op.Constant(value_ints=[row, column]), op.Constant(value_ints=[_END, _END])
    return op.Slice(x, starts, ends, op.Constant(value_ints=[2, 3]), op.Constant(value_ints=[2, 2]))


def _pair(sizes: Sequence[int] | int) -> list[int]:
    values = [sizes] if isinstance(sizes, int) else list(sizes)
    return values * 2 if len(values) == 1 else values
