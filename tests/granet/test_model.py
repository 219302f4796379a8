"""The network against the paper as :mod:`tests.granet.reference` reads it, and against PyTorch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import granet.model
from granet import GraNet, GraNetConfig
from granet.errors import UserError
from granet.model import DenseBlock, MergingBlock, RegionAwareBlock, regional_attention
from tests.granet import reference

SMALL = GraNetConfig(channels=8, growth=4, dense_layers=2, nonlocal_channels=4, fine_blocks=3)
TINY = GraNetConfig(channels=2, growth=1, dense_layers=1, nonlocal_channels=1, fine_blocks=1, key_stride=8)


def network(config: GraNetConfig = SMALL, dtype: torch.dtype = torch.float64) -> GraNet:
    """Random weights; the non-local blocks, which start as the identity, do something."""
    torch.manual_seed(7)
    model = GraNet(config)
    for block in model.coarse.region_aware:
        nn.init.normal_(block.out.weight, std=0.5)
        nn.init.normal_(block.out.bias, std=0.1)
    return model.eval().to(dtype).requires_grad_(False)


def picture(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


@pytest.mark.parametrize("key_stride", [1, 2, 3])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (2, 3), (1, 3)])
def test_equation_6(rows: int, columns: int, key_stride: int) -> None:
    theta, phi, g = (torch.randn(2, 3, 8, 12, dtype=torch.float64) for _ in range(3))
    actual = regional_attention(theta, phi, g, rows, columns, key_stride)
    np.testing.assert_allclose(
        actual.numpy(), reference.equation_6(theta, phi, g, rows, columns, key_stride), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("k", [1, 3, 4])
def test_equations_7_and_8(k: int) -> None:
    groups = [torch.randn(2, 6, 5, 7, dtype=torch.float64) for _ in range(k)]
    torch.testing.assert_close(
        MergingBlock()(groups), reference.equations_7_and_8(torch.cat(groups, dim=1), k)
    )


def test_dense_block() -> None:
    block, x = DenseBlock(6, 4, 3).double(), torch.randn(2, 6, 9, 11, dtype=torch.float64)
    torch.testing.assert_close(block(x), reference.dense(block, x))


@pytest.mark.parametrize("key_stride", [1, 2])
def test_both_stages(key_stride: int) -> None:
    config = GraNetConfig(**{**vars(SMALL), "key_stride": key_stride})
    model, image = network(config), picture(2, 3, 16, 32)
    mask, coarse, fine = model.forward_stages(image)
    torch.testing.assert_close(mask, reference.coarse_stage(model, image))
    torch.testing.assert_close(coarse, image - mask, rtol=0, atol=0)
    torch.testing.assert_close(fine, coarse + reference.fine_stage(model, coarse))
    torch.testing.assert_close(model(image), fine, rtol=0, atol=0)


@pytest.mark.parametrize("fold", [2, 3, 4])
def test_the_whole_network_on_folded_frames(fold: int) -> None:
    """Fold, both stages, unfold; the stages come out in pixels of the frame."""
    config = GraNetConfig(**{**vars(SMALL), "fold": fold, "region_extent": None})
    model, image = network(config), picture(2, 3, 8 * fold, 16 * fold)
    small = torch.from_numpy(reference.folded(image.numpy(), fold))
    mask = reference.coarse_stage(model, small)
    coarse = small - mask
    expected = (mask, coarse, coarse + reference.fine_stage(model, coarse))
    for stage, reference_stage in zip(model.forward_stages(image), expected, strict=True):
        assert stage.shape == image.shape
        np.testing.assert_allclose(stage, reference.unfolded(reference_stage.numpy(), fold), atol=1e-10)


def test_folding_keeps_every_pixel_and_its_window() -> None:
    image = np.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    folded = reference.folded(image, 2)
    np.testing.assert_array_equal(folded, F.pixel_unshuffle(torch.from_numpy(image), 2))
    np.testing.assert_array_equal(folded[1, 4:8, 1, 2], image[1, 1, 2:4, 4:6].reshape(-1))
    np.testing.assert_array_equal(reference.unfolded(folded, 2), image)


@pytest.mark.parametrize("level", [0.0, 0.25, 1.0])
def test_ties_go_to_the_first_in_reading_order(level: float) -> None:
    """A constant picture ties everywhere but at its edge; so does whatever a ReLU has set to zero."""
    model = network()
    for block in model.coarse.local:  # zero fusions leave ties as they are, level after level
        nn.init.zeros_(block.fusion.weight)
    image = torch.full((1, 3, 16, 16), level, dtype=torch.float64)
    torch.testing.assert_close(model.forward_stages(image)[0], reference.coarse_stage(model, image))


def test_unpooling_is_that_of_pytorch() -> None:
    """The reference is compared with PyTorch's own operators; after a ReLU most windows are ties."""
    x = torch.randn(1, 4, 8, 8, dtype=torch.float64).clamp_min(0)
    pooled, places = reference.pool(x.numpy())
    expected, indices = F.max_pool2d(x, 2, return_indices=True)
    np.testing.assert_array_equal(pooled, expected)
    values = torch.randn_like(expected)
    restored = reference.unpool(values.numpy(), places, x.numpy())
    np.testing.assert_array_equal(restored, F.max_unpool2d(values, indices, 2))


def test_a_region_aware_block_starts_as_the_identity() -> None:
    x = torch.randn(1, 8, 8, 8)
    torch.testing.assert_close(RegionAwareBlock(8, 4, 2, 1)(x, (1, 1)), x, rtol=0, atol=0)


@pytest.mark.parametrize("residual", [True, False])
def test_the_reconstruction_is_added_or_is_the_image(residual: bool) -> None:
    model = network(GraNetConfig(**{**vars(SMALL), "residual_output": residual}))
    nn.init.zeros_(model.fine.reconstruct.weight)
    nn.init.constant_(model.fine.reconstruct.bias, 0.5)
    _, coarse, fine = model.forward_stages(picture(1, 3, 16, 16))
    torch.testing.assert_close(fine, coarse + 0.5 if residual else torch.full_like(coarse, 0.5))


# --- sizes ---------------------------------------------------------------------------------------


FOLDED = GraNetConfig(**{**vars(SMALL), "fold": 2})
GROWING = GraNetConfig(**{**vars(FOLDED), "region_extent": 64})


@pytest.mark.parametrize(
    ("config", "size", "padded"),
    [
        *((SMALL, *case) for case in (
            ((16, 16), (16, 16)), ((17, 33), (24, 40)), ((31, 16), (32, 16)), ((513, 24), (528, 24))
        )),
        *((FOLDED, *case) for case in (
            ((16, 16), (16, 16)), ((17, 33), (32, 48)), ((31, 16), (32, 16)), ((513, 24), (544, 32))
        )),
        *((GROWING, *case) for case in (((65, 64), (96, 64)), ((40, 129), (48, 144)))),
        (GraNetConfig.lite(), (17, 33), (32, 48)),
    ],
)  # fmt: skip
def test_any_size_is_padded_by_reflection_and_cropped(
    config: GraNetConfig, size: tuple[int, int], padded: tuple[int, int]
) -> None:
    model, image = network(config), picture(1, 3, *size)
    margins = [(0, 0), (0, 0), (0, padded[0] - size[0]), (0, padded[1] - size[1])]
    larger = torch.from_numpy(np.pad(image.numpy(), margins, mode="reflect"))
    for stage, of_larger in zip(model.forward_stages(image), model.forward_stages(larger), strict=True):
        assert stage.shape == image.shape
        torch.testing.assert_close(stage, of_larger[..., : size[0], : size[1]])


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize(
    ("size", "extent", "grids"),
    [
        ((512, 512), 512, [(1, 1), (2, 2), (4, 4)]),  # section 3.2, "Coarse Stage Implementation"
        ((16, 320), 512, [(1, 1), (2, 2), (4, 4)]),
        ((513, 64), 512, [(2, 1), (4, 2), (8, 4)]),
        ((64, 513), 512, [(1, 2), (2, 4), (4, 8)]),
        ((32, 1025), 512, [(1, 3), (2, 6), (4, 12)]),
        ((64, 513), None, [(1, 1), (2, 2), (4, 4)]),
        ((64, 96), 64, [(1, 2), (2, 4), (4, 8)]),
    ],
)
def test_the_grid_is_the_papers_until_the_frame_outgrows_it(
    size: tuple[int, int],
    extent: int | None,
    grids: list[tuple[int, int]],
    fold: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The extent is in pixels of the frame, so folding changes no grid."""
    seen = []

    def spy(theta: Tensor, phi: Tensor, g: Tensor, rows: int, columns: int, key_stride: int) -> Tensor:
        seen.append((rows, columns, theta.shape[-2] % rows, theta.shape[-1] % columns))
        return torch.zeros_like(theta)

    monkeypatch.setattr(granet.model, "regional_attention", spy)
    network(GraNetConfig(**{**vars(TINY), "region_extent": extent, "fold": fold}))(picture(1, 3, *size))
    assert seen == [(*grid, 0, 0) for grid in grids]


@pytest.mark.parametrize("size", [(15, 32), (32, 15), (1, 1)])
def test_a_frame_that_is_too_small_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=f"{size[1]}x{size[0]}"):
        network()(torch.rand(1, 3, *size))


def test_a_frame_that_is_too_small_for_its_fold_is_refused() -> None:
    with pytest.raises(UserError, match="at least 32x32"):
        network(GraNetConfig(**{**vars(SMALL), "fold": 4}))(torch.rand(1, 3, 31, 64))


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    model, batch = network(), picture(3, 3, 24, 40)
    one_by_one = torch.cat([model(image[None]) for image in batch])
    torch.testing.assert_close(model(batch), one_by_one)


# --- widths, cost, ablations, training -----------------------------------------------------------


def parameters_by_hand(c: GraNetConfig) -> int:
    def conv(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel**2 + outputs

    block = conv(c.channels + c.dense_layers * c.growth, c.channels, 1)
    block += sum(conv(c.channels + i * c.growth, c.growth, 3) for i in range(c.dense_layers))
    attention = 3 * conv(c.channels, c.nonlocal_channels, 1) + conv(c.nonlocal_channels, c.channels, 1)
    picture_channels = 3 * c.fold * c.fold
    ends = conv(picture_channels, c.channels, 3) + conv(c.channels, picture_channels, 3)
    coarse = ends + 3 * block + 3 * attention * c.region_aware
    fine = ends + c.fine_blocks * block * c.context
    return coarse + fine * c.fine_stage


@pytest.mark.parametrize(
    "config", [GraNetConfig.paper(), GraNetConfig.base(), GraNetConfig.lite(), SMALL, FOLDED]
)
def test_parameters_are_those_of_the_drawing(config: GraNetConfig) -> None:
    for setting in config.ablations().values():
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in GraNet(setting).parameters())
        assert count == parameters_by_hand(setting)


def test_paper_is_as_large_as_it_says() -> None:
    assert parameters_by_hand(GraNetConfig.paper()) == pytest.approx(1.0e6, rel=0.05)


def test_lite_and_base_are_as_large_as_their_issue_says() -> None:
    assert parameters_by_hand(GraNetConfig.lite()) == 268_264
    assert parameters_by_hand(GraNetConfig.base()) == 1_030_952


@pytest.mark.parametrize(("name", "most"), [("lite", 24e9), ("base", 80e9)])
def test_presets_are_light_enough(name: str, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations for 480x320, 2 a multiply-add; the counter does not see inside fused attention.

    ``lite`` is for video on a CPU; four times its convolutions make ``base``.
    """
    products = []

    def spy(theta: Tensor, phi: Tensor, g: Tensor, rows: int, columns: int, key_stride: int) -> Tensor:
        _, depth, height, width = theta.shape
        keys = rows * columns * (height // rows // key_stride) * (width // columns // key_stride)
        scores = height * width * keys // (rows * columns)
        products.append(2 * 2 * scores * depth)  # theta times phi, and the weights times g
        return torch.zeros_like(theta)

    monkeypatch.setattr(granet.model, "regional_attention", spy)
    counter = FlopCounterMode(display=False)
    with counter:
        network(GraNetConfig.preset(name), torch.float32)(picture(1, 3, 320, 480, dtype=torch.float32))
    assert len(products) == 3
    assert counter.get_total_flops() + sum(products) <= most


@pytest.mark.parametrize("name", list(SMALL.ablations()))
def test_ablations_of_table_2(name: str) -> None:
    config = SMALL.ablations()[name]
    model, image = network(config), picture(1, 3, 16, 24)
    mask, coarse, fine = model.forward_stages(image)
    assert mask.shape == coarse.shape == fine.shape == image.shape
    parts = {".".join(parameter.split(".")[:2]) for parameter in model.state_dict()}
    assert ("coarse.region_aware" in parts) == (name != "Only Coarse w/o RA")
    assert ("fine.head" in parts) == name.startswith("Coarse + Fine")
    assert ("fine.blocks" in parts) == (name == "Coarse + Fine (w/ Context)")
    assert torch.equal(fine, coarse) == name.startswith("Only Coarse")


@pytest.mark.parametrize("config", [SMALL, FOLDED], ids=["full", "folded"])
def test_every_parameter_gets_a_gradient(config: GraNetConfig) -> None:
    """After one step of equation 9; before it the non-local blocks are the identity."""
    torch.manual_seed(0)
    model, rainy, clean = GraNet(config), picture(2, 3, 32, 32).float(), torch.zeros(2, 3, 32, 32)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (model(rainy) - clean).abs().mean().backward()
        optimiser.step()
    without = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
    assert without == []
