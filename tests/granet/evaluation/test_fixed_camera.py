"""Flicker of a fixed camera: known rain on a known scene, and what moves is left out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from granet.errors import UserError
from granet.evaluation.fixed_camera import luma, measure_fixed_camera

FRAMES, HEIGHT, WIDTH = 40, 24, 32


def scene() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(20, 120, (HEIGHT, WIDTH)).astype(np.uint8)


def rain(level: int) -> NDArray[np.int64]:
    """Each pixel is under rain in exactly every eighth frame: T x H x W."""
    turn = np.random.default_rng(2).integers(0, 8, (HEIGHT, WIDTH))
    falls = (np.arange(FRAMES)[:, None, None] + turn) % 8 == 0
    return level * falls.astype(np.int64)


def clip(level: int) -> list[NDArray[np.uint8]]:
    return list((scene() + rain(level)).astype(np.uint8))


def test_half_of_the_rain_is_half_of_the_flicker() -> None:
    found = measure_fixed_camera(clip(80), clip(40))
    assert found.frames == FRAMES and found.static_share == 1
    # A value that is 80 in an eighth of the frames deviates by 80 sqrt(1/8 * 7/8).
    assert found.deviation_before == pytest.approx(80 * np.sqrt(7) / 8, rel=1e-6)
    assert found.flicker_removed == pytest.approx(0.5, rel=1e-6)
    # An eighth of the pixels, give or take, is off by 80: halving the error is 6.02 dB.
    assert found.psnr_before_db == pytest.approx(10 * np.log10(255**2 / (80**2 / 8)), abs=0.5)
    assert found.psnr_after_db - found.psnr_before_db == pytest.approx(20 * np.log10(2), abs=1e-6)


def test_no_rain_left_is_the_scene() -> None:
    found = measure_fixed_camera(clip(80), [scene()] * FRAMES)
    assert (found.deviation_after, found.flicker_removed, found.psnr_after_db) == (0, 1, 100)


def test_a_result_that_changes_the_scene_loses_psnr_though_it_does_not_flicker() -> None:
    found = measure_fixed_camera(clip(80), [scene() + np.uint8(20)] * FRAMES)
    assert found.flicker_removed == 1
    assert found.psnr_after_db == pytest.approx(20 * np.log10(255 / 20), abs=1e-6)


def test_moving_and_fading_pixels_are_left_out() -> None:
    frames = np.stack(clip(80)).astype(np.int64)
    frames[:, :8] = np.random.default_rng(3).integers(0, 255, (FRAMES, 8, WIDTH))  # leaves in the wind
    frames[FRAMES // 2 :, 8:12] += 50  # a light that is switched on
    found = measure_fixed_camera(list(frames.clip(0, 255).astype(np.uint8)), clip(40))
    assert found.static_share == pytest.approx(12 / HEIGHT, abs=0.01)


def test_too_few_frames_and_a_camera_that_moves_are_refused() -> None:
    with pytest.raises(UserError, match="has 9 frames, but at least 10 are needed"):
        measure_fixed_camera(clip(80)[:9], clip(40)[:9])
    moving = list(np.random.default_rng(4).integers(0, 255, (FRAMES, HEIGHT, WIDTH)).astype(np.uint8))
    with pytest.raises(UserError, match="use a clip from a fixed camera"):
        measure_fixed_camera(moving, moving)


def test_luma_is_that_of_bt_601() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert luma(colours).tolist() == [[76, 150, 29, 255]]


def test_a_pan_over_a_flat_sky_is_refused() -> None:
    """Its flat eighth is static, and says nothing of the rain on the rest."""
    frames = np.random.default_rng(5).integers(0, 255, (FRAMES, HEIGHT, WIDTH)).astype(np.uint8)
    frames[:, : HEIGHT // 8] = 200
    with pytest.raises(UserError, match=r"12\.5% of the pixels of this clip are static, and 20% are needed"):
        measure_fixed_camera(list(frames), list(frames))
