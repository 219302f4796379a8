"""Faults of cameras: on both sides of a pair, as often as asked, the same for the same numbers."""

from pathlib import Path

import numpy as np
import pytest

from granet.data.augment import CameraFaults, _compressed, _darkened, _moved, _noisy
from granet.data.datasets import open_dataset
from granet.errors import UserError
from tests.granet.rain_sets import clean_directory, picture


def test_a_share_of_nothing_is_the_picture_itself() -> None:
    clean = picture(0)
    for seed in range(50):
        assert CameraFaults(0.0).apply(clean, np.random.default_rng(seed)) is clean


@pytest.mark.parametrize("size", [(40, 56), (16, 17), (1, 1)])
def test_faults_keep_shape_and_type_and_are_decided_by_the_numbers(size: tuple[int, int]) -> None:
    clean = picture(1, *size)
    before = clean.copy()
    for seed in range(30):
        first, second = (CameraFaults(1.0).apply(clean, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == clean.shape and first.dtype == np.uint8
    np.testing.assert_array_equal(clean, before)


def test_the_share_of_pictures_that_get_any() -> None:
    clean = picture(2)
    rngs = (np.random.default_rng(seed) for seed in range(400))
    touched = sum(CameraFaults(0.5).apply(clean, rng) is not clean for rng in rngs)
    # Half of them are drawn, and of those 0.5 x 0.7 x 0.5 x 0.5 get none of the four faults: 182.5 are left.
    assert 150 < touched < 215


def test_darkness_is_exposure_times_a_tone_curve() -> None:
    clean = picture(3)
    expected = np.rint(255 * 0.4 * (clean / 255.0) ** 1.5)
    np.testing.assert_array_equal(_darkened(clean, 0.4, 1.5), expected)


def test_noise_has_the_deviation_asked_for() -> None:
    gray = np.full((200, 200, 3), 128, np.uint8)
    noise = _noisy(gray, 5.0, np.random.default_rng(0)).astype(float) - 128
    assert abs(noise.mean()) < 0.1 and noise.std() == pytest.approx(5, rel=0.03)


def test_jpeg_keeps_the_order_of_colours() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(_compressed(red, 90).astype(int) - red).max() < 8
    clean = picture(4)
    worse, better = (float(np.abs(_compressed(clean, q).astype(int) - clean).mean()) for q in (35, 92))
    assert worse > better > 0


@pytest.mark.parametrize("angle", [0.0, np.pi / 2])
def test_motion_blurs_along_its_line_and_keeps_the_light(angle: float) -> None:
    point = np.zeros((31, 31, 3), np.uint8)
    point[15, 15] = 240
    blurred = _moved(point, 7.0, angle)[..., 0].astype(float)
    along, across = (blurred.sum(axis=axis) for axis in ((0, 1) if angle == 0 else (1, 0)))
    assert np.count_nonzero(along > 5) >= 6 and np.count_nonzero(across > 5) <= 3
    assert blurred.sum() == pytest.approx(240, rel=0.05)
    flat = np.full((20, 20, 3), 77, np.uint8)
    np.testing.assert_array_equal(_moved(flat, 9.0, 1.0), flat)


def test_rain_falls_after_the_faults_so_the_pair_differs_by_rain_alone(tmp_path: Path) -> None:
    directory = clean_directory(tmp_path, 3)
    for draw in range(8):
        plain, faulty = (
            open_dataset(f"synthetic:{directory}?split=all{more}", "train").read(1, draw)
            for more in ("", "&faults=1")
        )
        rain = plain.rainy.astype(int) - plain.clean
        added = faulty.rainy.astype(int) - faulty.clean
        unsaturated = (faulty.rainy < 255) & (plain.rainy < 255)
        np.testing.assert_array_equal(added[unsaturated], rain[unsaturated])


@pytest.mark.parametrize("share", ["1.5", "-0.1", "many", ""])
def test_a_share_that_is_none(share: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a share from 0 to 1") as caught:
        open_dataset(f"synthetic:{clean_directory(tmp_path)}?faults={share}", "train")
    assert "\n" not in str(caught.value)
