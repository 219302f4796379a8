"""The two metrics: against Pillow, scikit-image, and the figures known for Rain100L's rainy input."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from granet.errors import UserError
from granet.evaluation.metrics import luma_matlab, luma_paper, score

RAIN100L = Path(__file__).parents[4] / "shared" / "data" / "rain100l-test"

Pixels = NDArray[np.uint8]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int, seed: int = 0) -> Pixels:
    return np.asarray(cv2.GaussianBlur(noise(height, width, seed), (0, 0), 4), np.uint8)


def rainy(clean: Pixels) -> Pixels:
    streaks = np.zeros(clean.shape[:2], np.uint8)
    streaks[5:-5, ::9] = 60
    return np.asarray(cv2.add(clean, cv2.merge([streaks] * 3)), np.uint8)


PICTURES = [
    (noise(40, 57), noise(40, 57, seed=1)),
    (rainy(smooth(64, 48)), smooth(64, 48)),
    (rainy(smooth(11, 30)), smooth(11, 30)),
]


def test_luma_of_the_paper_is_pillows_to_the_last_level() -> None:
    colours = noise(1000, 1000)
    expected = np.asarray(Image.fromarray(colours).convert("YCbCr"))[..., 0]
    np.testing.assert_array_equal(luma_paper(colours), expected)
    corners = np.array([[[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)]], np.uint8)
    expected = np.asarray(Image.fromarray(corners).convert("YCbCr"))[..., 0]
    np.testing.assert_array_equal(luma_paper(corners), expected)


def test_luma_of_matlab_is_what_rgb2ycbcr_documents() -> None:
    """BT.601 in studio range: black 16, white 235, and the weights of one colour alone; no rounding."""
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    expected = [[16, 235, 16 + 65.481, 16 + 128.553, 16 + 24.966]]
    np.testing.assert_allclose(luma_matlab(colours), expected, atol=1e-9)


@pytest.mark.parametrize(("picture", "truth"), PICTURES)
def test_paper_is_scikit_images_default_on_pillows_luma(picture: Pixels, truth: Pixels) -> None:
    x, y = (np.asarray(Image.fromarray(p).convert("YCbCr"))[..., 0] for p in (picture, truth))
    measured = score(picture, truth).paper
    assert measured.psnr_db == pytest.approx(peak_signal_noise_ratio(y, x), abs=1e-9)
    assert measured.ssim == pytest.approx(structural_similarity(y, x), abs=1e-12)


@pytest.mark.parametrize(("picture", "truth"), PICTURES)
def test_matlab_is_wangs_ssim_as_scikit_image_does_it(picture: Pixels, truth: Pixels) -> None:
    """scikit-image follows Wang et al. with these settings: an 11 x 11 Gaussian, where it fits."""
    x, y = (16 + p.astype(float) @ np.array([65.481, 128.553, 24.966]) / 255 for p in (picture, truth))
    measured = score(picture, truth).matlab
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert measured.psnr_db == pytest.approx(peak_signal_noise_ratio(y, x, data_range=255), abs=1e-9)
    assert measured.ssim == pytest.approx(structural_similarity(y, x, **options), abs=1e-9)


def test_equal_pictures_have_a_hundred_decibels_and_json_can_hold_it() -> None:
    scores = score(noise(20, 20), noise(20, 20))
    assert (scores.paper.psnr_db, scores.matlab.psnr_db) == (100, 100)
    assert scores.paper.ssim == scores.matlab.ssim == pytest.approx(1, abs=1e-12)
    assert "Infinity" not in json.dumps(asdict(scores), allow_nan=False)


def test_a_picture_that_is_better_is_counted_as_better_up_to_a_hundred() -> None:
    """One level of one pixel in a large picture is beyond 100 dB, where equal pictures are."""
    truth = np.full((800, 800, 3), 100, np.uint8)
    near = truth.copy()
    near[0, 0] = 101
    assert score(near, truth).paper.psnr_db == 100
    near[:40] = 101
    assert score(near, truth).paper.psnr_db == pytest.approx(20 * np.log10(255) + 10 * np.log10(20))


@pytest.mark.skipif(not RAIN100L.is_dir(), reason="Rain100L is not there")
def test_the_rainy_input_of_rain100l_has_its_known_figures() -> None:
    """25.58 / 0.8146 and 26.90 / 0.8384, in the mean over all 100 pictures."""
    rows = []
    for index in range(1, 101):
        rainy, clean = (
            cv2.imread(str(RAIN100L / name))[..., ::-1]
            for name in (f"rainy/rain-{index:03d}.png", f"clean/norain-{index:03d}.png")
        )
        scores = score(rainy, clean)
        rows.append((scores.paper.psnr_db, scores.paper.ssim, scores.matlab.psnr_db, scores.matlab.ssim))
    means = [f"{mean:.{digits}f}" for mean, digits in zip(np.mean(rows, axis=0), (2, 4, 2, 4), strict=True)]
    assert means == ["25.58", "0.8146", "26.90", "0.8384"]


@pytest.mark.parametrize(
    ("picture", "truth", "message"),
    [
        (noise(20, 21), noise(20, 22), "21x20 pixels cannot be compared with 22x20"),
        (noise(10, 40), noise(10, 40), "40x10 pixels is too small: SSIM needs at least 11x11"),
    ],
)
def test_pictures_that_cannot_be_compared(picture: Pixels, truth: Pixels, message: str) -> None:
    with pytest.raises(UserError, match=message):
        score(picture, truth)


def test_floats_are_refused_and_not_taken_for_levels() -> None:
    with pytest.raises(ValueError, match="uint8"):
        score(noise(20, 20) / 255.0, noise(20, 20))  # type: ignore[arg-type]
