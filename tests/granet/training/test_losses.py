"""Losses: SSIM is scikit-image's, and every loss has a gradient wherever a training can stand."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.training.losses import LOSSES, restoration_loss, ssim
from tests.granet.rain_sets import picture


def pair(seed: int, height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    """Rain on a picture, and the picture: 1 x 3 x H x W in [0, 1]."""
    clean = picture(seed, height, width)
    rainy = add_rain(clean, render_rain(sample_rain(np.random.default_rng(seed), 0.6), height, width))
    a, b = (torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255 for pixels in (rainy, clean))
    return a, b


def scikit_image(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean over the windows that lie within the pictures, and over the channels."""
    maps = [
        structural_similarity(
            x.double().numpy(), y.double().numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )[1][5:-5, 5:-5]
        for x, y in zip(a.flatten(0, 1), b.flatten(0, 1), strict=True)
    ]  # fmt: skip
    return float(np.mean(maps))


@pytest.mark.parametrize("seed", range(4))
def test_ssim_is_that_of_scikit_image(seed: int) -> None:
    a, b = pair(seed)
    expected = scikit_image(a, b)
    assert expected < 0.99
    assert float(ssim(a, b)) == pytest.approx(expected, abs=2e-5)


def test_ssim_of_a_batch_is_the_mean_of_its_pictures() -> None:
    pairs = [pair(seed) for seed in range(3)]
    together = ssim(torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs]))
    assert float(together) == pytest.approx(np.mean([scikit_image(a, b) for a, b in pairs]), abs=2e-5)


@pytest.mark.parametrize("size", [(11, 11), (11, 30)])
def test_the_smallest_picture_has_one_window(size: tuple[int, int]) -> None:
    a, b = pair(1, *size)
    assert float(ssim(a, b)) == pytest.approx(scikit_image(a, b), abs=2e-5)
    assert float(ssim(a, a)) == pytest.approx(1, abs=1e-6)


def test_the_losses_by_their_names() -> None:
    a, b = pair(2)
    absolute, likeness = float((a - b).abs().mean()), scikit_image(a, b)
    squared = float(((a - b) ** 2).mean())
    expected = {
        "l1": absolute,
        "ssim": 1 - likeness,
        "l1+ssim": absolute + 1 - likeness,
        "psnr": 0.1 * np.log10(1 + squared / 1e-4),
    }
    assert expected.keys() == set(LOSSES)
    for name, value in expected.items():
        assert float(restoration_loss(a, b, name)) == pytest.approx(value, abs=5e-5)  # type: ignore[arg-type]


def test_the_psnr_loss_is_the_mean_of_the_pictures_decibels() -> None:
    target = torch.zeros(2, 3, 16, 16)
    derained = torch.stack([torch.full((3, 16, 16), error) for error in (0.1, 0.2)])
    # 20 and 13.979 dB: 20.043 and 26.031 dB above the level of 40 dB.
    assert float(restoration_loss(derained, target, "psnr")) == pytest.approx(
        0.01 * (20.043 + 26.031) / 2, abs=2e-5
    )
    assert float(restoration_loss(target, target, "psnr")) == 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_gradients_are_finite_where_pictures_are_flat_or_equal(name: str, level: float) -> None:
    target = torch.full((1, 3, 16, 16), level)
    for start in (target, torch.zeros_like(target), target + 0.3):
        derained = start.clone().requires_grad_()
        restoration_loss(derained, target, name).backward()  # type: ignore[arg-type, no-untyped-call]
        assert derained.grad is not None and bool(torch.isfinite(derained.grad).all())


def test_a_step_along_the_gradient_of_ssim_makes_pictures_more_alike() -> None:
    rainy, clean = pair(3)
    derained = rainy.clone().requires_grad_()
    (1 - ssim(derained, clean)).backward()  # type: ignore[no-untyped-call]
    assert derained.grad is not None
    nearer = rainy - 0.1 * derained.grad / derained.grad.norm()
    assert scikit_image(nearer, clean) > scikit_image(rainy, clean)


def test_looking_at_ssim_first_does_not_spoil_a_training() -> None:
    a, b = pair(0)
    with torch.inference_mode():
        ssim(a, b)
    ssim(a.requires_grad_(), b).backward()  # type: ignore[no-untyped-call]
