"""The exported graphs are the untouched network between conversions that PyTorch does too."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.onnx.wrappers import ExportedStages, FramesGraph, TensorGraph
from granet import GraNet, GraNetConfig, load_checkpoint

SMALL = GraNetConfig(channels=8, growth=4, dense_layers=2, nonlocal_channels=4, fine_blocks=2)
FOLDED = replace(SMALL, fold=2)


@pytest.fixture
def network(engines_checkpoint) -> GraNet:  # type: ignore[no-untyped-def]
    return load_checkpoint(engines_checkpoint)


@pytest.mark.parametrize("size", [(64, 80), (528, 48)], ids=["one grid", "two grids high"])
def test_tensor_graph_is_the_network_unclamped(network: GraNet, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size) * 3 - 1  # beyond [0, 1], so that clamping would show
    with torch.no_grad():
        mask, coarse, fine = network.forward_stages(x)
        found = TensorGraph(ExportedStages(network, torch.float32), all_stages=True)(x)
    for ours, theirs in zip(found, (fine, mask, coarse), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert float(fine.max()) > 1 or float(fine.min()) < 0


@pytest.mark.parametrize("config", [SMALL, FOLDED], ids=["full", "folded"])
@pytest.mark.parametrize("ablation", SMALL.ablations())
def test_every_ablation_goes_through(ablation: str, config: GraNetConfig) -> None:
    torch.manual_seed(0)
    model = GraNet(config.ablations()[ablation]).eval()
    x = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        (found,) = TensorGraph(ExportedStages(model, torch.float32), all_stages=False)(x)
        torch.testing.assert_close(found, model(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("extent", "size"), [(512, (64, 80)), (64, (64, 144)), (64, (144, 64)), (None, (32, 48))]
)
def test_the_stages_of_a_folded_network_are_in_pixels_of_the_frame(
    extent: int | None, size: tuple[int, int]
) -> None:
    """In grids of one region extent, and of up to three of them along a side."""
    torch.manual_seed(3)
    model = GraNet(replace(FOLDED, region_extent=extent)).eval()
    for block in model.coarse.region_aware:
        torch.nn.init.normal_(block.out.weight, std=0.5)  # type: ignore[union-attr, arg-type]
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = model.forward_stages(x)
        found = ExportedStages(model, torch.float32)(x)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == x.shape
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def reference_levels(network: GraNet, frames: np.ndarray, colour: str) -> np.ndarray:
    """uint8 frames -> uint8 frames, with numpy's rounding (half to even) outside the network."""
    rgb = frames[..., ::-1] if colour == "bgr" else frames
    image = torch.from_numpy(rgb.astype(np.float32).transpose(0, 3, 1, 2) / np.float32(255))
    with torch.no_grad():
        result = network(image).numpy().transpose(0, 2, 3, 1)
    levels = np.clip(np.rint(result * np.float32(255)), 0, 255).astype(np.uint8)
    return levels[..., ::-1] if colour == "bgr" else levels


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_frames_graph_converts_rounds_and_clamps(network: GraNet, colour: str) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 40, 56, 3), np.uint8)
    frames[0, :20] = 255  # saturates, so that clamping has something to do
    graph = FramesGraph(ExportedStages(network, torch.float32), colour, all_stages=False)  # type: ignore[arg-type]
    with torch.no_grad():
        (found,) = graph(torch.from_numpy(frames))
    assert found.dtype == torch.uint8
    difference = np.abs(found.numpy().astype(int) - reference_levels(network, frames, colour))
    # Another memory layout may round a float differently; a wrong rounding rule would touch half of all.
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


def test_colour_order_matters(network: GraNet) -> None:
    frames = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), np.uint8))
    stages = ExportedStages(network, torch.float32)
    with torch.no_grad():
        (bgr,) = FramesGraph(stages, "bgr", all_stages=False)(frames)
        (rgb,) = FramesGraph(stages, "rgb", all_stages=False)(frames.flip(-1))
    torch.testing.assert_close(bgr, rgb.flip(-1), rtol=0, atol=0)


@pytest.mark.parametrize("fold", [1, 2])
def test_half_precision_keeps_the_picture_in_float32(fold: int) -> None:
    """If the stages return zero, the picture must be unchanged; float16 would lose bits of it."""
    network = GraNet(replace(SMALL, fold=fold)).eval()
    for conv in (network.coarse.mask, network.fine.reconstruct):  # type: ignore[union-attr]
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        _, _, fine = ExportedStages(network, torch.float16)(x)
    assert fine.dtype == torch.float32
    torch.testing.assert_close(fine, x, rtol=0, atol=0)
