"""The index-free pooling and unpooling are PyTorch's, bit for bit, ties included."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.export.onnx.onnx_run import assert_same_bits, exported, operators


class PoolUnpool(nn.Module):
    """Pools, changes the maxima, and unpools them where the maxima were."""

    def forward(self, x: Tensor) -> Tensor:
        pooled, indices = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(pooled * 3 - 1, indices, 2)


def every_tie_pattern() -> Tensor:
    """Each of the 4^4 ways in which the values of a 2x2 window can be ordered or equal; 1 x 1 x 32 x 32."""
    values = torch.cartesian_prod(*[torch.arange(4.0)] * 4)  # 256 x 4
    windows = values.reshape(16, 16, 2, 2) - 1.0  # negative, zero and positive
    return windows.permute(0, 2, 1, 3).reshape(1, 1, 32, 32)


@pytest.mark.parametrize("opset", [18, 20, 24])
def test_every_pattern_of_ties_resolves_as_in_pytorch(opset: int) -> None:
    x = every_tie_pattern()
    assert_same_bits(exported(PoolUnpool(), x, opset=opset), PoolUnpool(), x)


def test_after_a_relu_most_windows_are_ties() -> None:
    x = torch.relu(torch.randn(2, 5, 24, 40, generator=torch.Generator().manual_seed(0)))
    assert_same_bits(exported(PoolUnpool(), x), PoolUnpool(), x)


def test_three_nested_levels_keep_their_own_winners() -> None:
    class Nested(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            kept = []
            for _ in range(3):
                x, indices = F.max_pool2d(x, 2, return_indices=True)
                kept.append(indices)
            for indices in reversed(kept):
                x = F.max_unpool2d(x + 1, indices, 2)
            return x

    x = torch.randint(0, 3, (1, 4, 32, 48), generator=torch.Generator().manual_seed(1)).float()
    assert_same_bits(exported(Nested(), x), Nested(), x)


def test_half_precision_and_dynamic_sizes() -> None:
    model = exported(PoolUnpool(), torch.zeros(2, 3, 64, 80), axes=(2, 3))
    for n, height, width in ((1, 16, 16), (3, 8 * 7, 8 * 9)):
        x = torch.randint(-2, 3, (n, 3, height, width)).float()
        assert_same_bits(model, PoolUnpool(), x)
    half = torch.randint(-2, 3, (1, 3, 16, 16)).half()
    assert_same_bits(exported(PoolUnpool(), half), PoolUnpool(), half)


def test_no_operator_that_tensorrt_lacks_is_left() -> None:
    model = exported(PoolUnpool(), torch.zeros(1, 2, 16, 16))
    assert not {name for name in operators(model) if "Unpool" in name or "Scatter" in name}
    assert all(len(node.output) == 1 for node in model.graph.node if node.op_type == "MaxPool")


def test_foreign_indices_are_refused() -> None:
    class Foreign(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pooled, indices = F.max_pool2d(x, 4, return_indices=True)
            return F.max_unpool2d(pooled, indices, 4)

    with pytest.raises(Exception, match=r"2x2 max_pool2d only"):
        exported(Foreign(), torch.zeros(1, 1, 16, 16))
