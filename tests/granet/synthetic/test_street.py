"""The street that the demo films: deterministic, in RGB, moving, the same street at every size."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from granet.errors import UserError
from granet.synthetic.street import street

HEIGHT, WIDTH = 120, 180
Frame = NDArray[np.uint8]


def grey(frame: Frame) -> NDArray[np.float64]:
    return frame.astype(np.float64).mean(-1)


def halved(frame: Frame) -> NDArray[np.float64]:
    height, width, _ = frame.shape
    return frame.reshape(height // 2, 2, width // 2, 2, 3).astype(np.float64).mean((1, 3))


@pytest.mark.parametrize("size", [(16, 16), (17, 99), (200, 16), (HEIGHT, WIDTH)])
def test_any_size_is_a_picture(size: tuple[int, int]) -> None:
    for time in (0.0, 3.3, 1e6):
        frame = street(*size, time=time)
        assert frame.shape == (*size, 3) and frame.dtype == np.uint8 and frame.std() > 10


def test_the_same_arguments_are_the_same_bytes_whatever_was_drawn_between() -> None:
    before = street(HEIGHT, WIDTH, 1.5, seed=3)
    for seed in range(4):
        street(32, 32, 1.5, seed)
    before_was = before.copy()
    np.testing.assert_array_equal(street(HEIGHT, WIDTH, 1.5, seed=3), before_was)


def test_a_frame_is_the_callers_own() -> None:
    first = street(HEIGHT, WIDTH)
    expected = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(street(HEIGHT, WIDTH), expected)


def test_another_seed_is_another_street() -> None:
    assert np.abs(grey(street(HEIGHT, WIDTH, seed=0)) - grey(street(HEIGHT, WIDTH, seed=1))).mean() > 10


def test_it_is_rgb() -> None:
    red, _, blue = street(HEIGHT, WIDTH)[:6].reshape(-1, 3).mean(0)
    assert blue > red + 10  # the sky


@pytest.mark.parametrize("seed", range(3))
def test_the_layout_of_a_street_does_not_depend_on_the_size(seed: int) -> None:
    small = street(HEIGHT, WIDTH, 2.0, seed).astype(np.float64)
    large = halved(street(2 * HEIGHT, 2 * WIDTH, 2.0, seed))
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.9
    other = halved(street(2 * HEIGHT, 2 * WIDTH, 2.0, seed + 1))
    assert np.corrcoef(small.ravel(), other.ravel())[0, 1] < 0.9


def test_the_camera_turns_to_the_side_and_nothing_jumps() -> None:
    """Houses and trees move to the left by whole pixels, and not up or down, while the camera turns."""
    houses = slice(20, 80)
    before, after = (grey(street(HEIGHT, WIDTH, time))[houses] for time in (5.0, 6.0))
    product = np.fft.fft2(before - before.mean()).conj() * np.fft.fft2(after - after.mean())
    down, right = np.unravel_index(np.fft.ifft2(product).real.argmax(), before.shape)
    assert down == 0 and -0.1 * WIDTH < right - WIDTH < 0
    video = [grey(street(HEIGHT, WIDTH, 5 + i / 30)) for i in range(5)]
    assert max(np.abs(a - b).mean() for a, b in pairwise(video)) < 8


def test_cars_drive_while_the_rest_stands() -> None:
    """At the turning point of the camera only cars and grain change."""
    change = np.abs(grey(street(HEIGHT, WIDTH, 24.0)) - grey(street(HEIGHT, WIDTH, 24.3)))
    road, houses = change[int(0.78 * HEIGHT) :], change[: int(0.6 * HEIGHT)]
    assert np.percentile(road, 98) > 40
    assert np.percentile(houses, 99) < 15


def test_grain_is_new_in_every_frame_and_small() -> None:
    sky = [street(HEIGHT, WIDTH, time)[:10].astype(np.float64) for time in (24.0, 24.001)]
    assert 0.5 < (sky[0] - sky[1]).std() < 5


@pytest.mark.parametrize("size", [(15, 64), (64, 15)])
def test_too_small_to_draw(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="16x16"):
        street(*size)
