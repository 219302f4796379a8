"""Regional attention in ONNX is equation 6, at any size, in chunks or whole."""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import export.onnx.regional_attention as regional
from export.onnx.regional_attention import TranslatableRegionAwareBlock
from granet.config import GraNetConfig
from granet.model import RegionAwareBlock
from tests.export.onnx.onnx_run import exported, operators, run


class OneBlock(nn.Module):
    """A block as the exporter sees it, on a map at the block's scale."""

    def __init__(self, grid: int, key_stride: int, extent: int | None = 512, fold: int = 1) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.original = RegionAwareBlock(6, 4, grid, key_stride)
        nn.init.normal_(self.original.out.weight)
        self.block = TranslatableRegionAwareBlock(
            self.original, GraNetConfig(region_extent=extent, fold=fold)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, (1, 1))


def expected(block: RegionAwareBlock, x: Tensor, rows: int, columns: int) -> Tensor:
    """Equation 6, region by region, with the whole matrix of exponentials in float64."""
    block, x = block.double(), x.double()
    theta, phi, g = block.theta(x), block.phi(x), block.g(x)
    result = torch.zeros_like(theta)
    h, w = x.shape[2] // rows, x.shape[3] // columns
    for row in range(rows):
        for column in range(columns):
            at = (..., slice(row * h, (row + 1) * h), slice(column * w, (column + 1) * w))
            keys, values = phi[at], g[at]
            if block.key_stride > 1:
                window = min(block.key_stride, h), min(block.key_stride, w)  # whole windows only
                keys, values = (F.max_pool2d(y, window, block.key_stride) for y in (keys, values))
            weights = torch.exp(theta[at].flatten(2).transpose(1, 2) @ keys.flatten(2))  # N x T x T'
            weights = weights / weights.sum(dim=2, keepdim=True)
            attended = weights @ values.flatten(2).transpose(1, 2)  # N x T x D
            result[at] = attended.transpose(1, 2).reshape_as(result[at])
    return x + block.out(result)


@pytest.mark.parametrize("key_stride", [1, 4, 8])  # whole windows, parts, smaller regions
@pytest.mark.parametrize("grid", [1, 2, 4])
def test_static_is_equation_6(grid: int, key_stride: int) -> None:
    module, x = OneBlock(grid, key_stride), torch.randn(2, 6, 24, 40)
    found = run(exported(module, x), x)
    with torch.no_grad():
        wanted = expected(module.original, x, grid, grid)
    np.testing.assert_allclose(found, wanted.numpy(), atol=2e-5)


@pytest.mark.parametrize("key_stride", [2, 3, 9])  # whole windows; parts of windows; regions of 8 are smaller
@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("grid", [1, 2, 4])
def test_dynamic_grid_grows_with_the_frame(grid: int, fold: int, key_stride: int) -> None:
    """A region extent is in pixels of the frame, so a folded frame has the same grid as one that is not."""
    module = OneBlock(grid, key_stride, extent=64 * fold, fold=fold)
    model = exported(module, torch.zeros(2, 6, 16, 16), axes=(2, 3))
    side = 8 * grid  # of this map, where the frame has 64 (128 folded) pixels: one grid
    for n, up, along in ((1, 1, 1), (2, 1, 3), (1, 2, 1)):
        x = torch.randn(n, 6, up * side, along * side)
        with torch.no_grad():
            wanted = expected(module.original, x, up * grid, along * grid)
        np.testing.assert_allclose(run(model, x), wanted.numpy(), atol=2e-5)
        module.original.float()


def softmaxes(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Softmax" for node in model.graph.node)


def test_chunks_bound_the_scores_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = OneBlock(4, key_stride=1), torch.randn(1, 6, 32, 32)
    whole = exported(module, x)
    scores = 16 * 64 * 64 * 4  # regions x tokens x tokens x bytes
    monkeypatch.setattr(regional, "SCORES_LIMIT", scores // 4)
    cut = exported(module, x)
    assert (softmaxes(whole), softmaxes(cut)) == (1, 4)
    np.testing.assert_allclose(run(cut, x), run(whole, x), atol=1e-6)


def test_it_is_the_pattern_that_tensorrt_fuses() -> None:
    ops = operators(exported(OneBlock(2, key_stride=1), torch.zeros(1, 6, 16, 16)))
    assert {"MatMul", "Softmax"} <= ops
    assert not {"Attention", "Loop", "Scan", "Einsum"} & ops
