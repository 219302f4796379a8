"""Max-pooling and the unpooling that its indices guide, in ONNX without indices.

TensorRT parses neither MaxUnpool nor MaxPool's Indices output. A 2x2 window has four phases; the
first that holds the maximum (row-major, as PyTorch resolves ties) wins, and unpooling puts the
value back into the winner's phase:

    x --SpaceToDepth--> p0 p1 p2 p3,  m = MaxPool(x)     won_i = (p_i == m) and no earlier phase won
    v --> won_i ? v : 0  for the four phases --DepthToSpace--> unpooled

Ties are the rule after a ReLU, so the order matters. Every value is copied and none is computed:
the result is PyTorch's, bit for bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

from onnxscript import opset18 as op

Value = Any  # a value of the graph being traced; onnxscript does not name its type publicly
Translation = Callable[..., Any]


def guided_pooling() -> tuple[Translation, Translation]:
    """The translations of 2x2 max-pooling and of the unpooling it guides.

    They share the winners of each pooling, so a pair serves one export.
    """
    winners: dict[Value, list[Value]] = {}  # by the token itself: the exporter renames it

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
        # unpool looks the token up and nothing computes with it: it goes with the dead nodes.
        token = op.Cast(pooled, to=7)
        if kernel == steps == [2, 2] and pads == [0, 0] and not ceil_mode:
            winners[token] = _first_maxima(x, pooled)
        return pooled, token

    def max_unpool2d(x: Value, indices: Value, output_size: Sequence[int]) -> Value:
        """Each value to the phase that won, zero elsewhere."""
        if indices not in winners:
            raise NotImplementedError("max_unpool2d is translated for the indices of a 2x2 max_pool2d only")
        zero = op.CastLike(op.Constant(value_float=0.0), x)
        phases = [op.Where(won, x, zero) for won in winners[indices]]
        return op.DepthToSpace(op.Concat(*phases, axis=1), blocksize=2, mode="DCR")

    return max_pool2d_with_indices, max_unpool2d


def _first_maxima(x: Value, pooled: Value) -> list[Value]:
    """Four masks N x C x h x w: whether each phase of the 2x2 windows holds the first maximum."""
    phases = op.Split(op.SpaceToDepth(x, blocksize=2), axis=1, num_outputs=4)  # (0,0) (0,1) (1,0) (1,1)
    winners = []
    unwon = None
    for phase in phases[:3]:
        equal = op.Equal(phase, pooled)
        winners.append(equal if unwon is None else op.And(unwon, equal))
        unwon = op.Not(equal) if unwon is None else op.And(unwon, op.Not(equal))
    return [*winners, unwon]


def _pair(sizes: Sequence[int] | int) -> list[int]:
    values = [sizes] if isinstance(sizes, int) else list(sizes)
    return values * 2 if len(values) == 1 else values
