"""Synthetic rain against the rain of the data sets, as measured on them (by hand)."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from granet.synthetic.rain import Rain, StreakLayer, add_rain, render_rain, sample_rain
from granet.synthetic.street import street

SIZE = (160, 240)
LAYER = StreakLayer(length=21, width=0.8, angle=0, density=30, brightness=60, evenness=2, speed=300)


def drawn(seed: int, heaviness: float = 0.3) -> Rain:
    return sample_rain(np.random.default_rng(seed), heaviness)


def added_by(heaviness: float, count: int = 24) -> tuple[float, float, float]:
    """Share of pixels above 3 (percent), mean and 99th percentile of what rain adds, averaged over rains.

    The street is made as dark as the pictures of Rain100L (107 in the mean): clipping depends on it.
    """
    clean = (street(*SIZE) * (107 / street(*SIZE).mean())).astype(np.uint8)
    figures = []
    for seed in range(count):
        rain = replace(drawn(seed, heaviness), mist=0.0, drops=0.0)
        added = add_rain(clean, render_rain(rain, *SIZE)).astype(np.int64) - clean
        figures.append((100 * (added > 3).mean(), added.mean(), np.percentile(added, 99)))
    share, mean, high = np.mean(figures, axis=0)
    return float(share), float(mean), float(high)


def test_rain_is_added_clipped_and_equal_in_the_three_channels() -> None:
    clean, rain = street(*SIZE), render_rain(drawn(1, 0.8), *SIZE)
    rainy = add_rain(clean, rain)
    assert rainy.dtype == np.uint8 and rainy.shape == clean.shape
    levels = (rain.astype(np.float64) + 0.5).astype(np.int64)  # rounded; a tie may go either way
    tie = np.abs(rain % 1 - 0.5) < 1e-6
    expected = [np.minimum(255, clean[..., channel].astype(np.int64) + levels) for channel in range(3)]
    np.testing.assert_array_equal(rainy[~tie], np.stack(expected, -1)[~tie])
    assert (rainy == 255).any() and (rainy < 255).any()


def test_no_rain_changes_nothing() -> None:
    clean = street(*SIZE)
    np.testing.assert_array_equal(add_rain(clean, render_rain(Rain(()), *SIZE)), clean)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (129, 64)])
def test_rain_is_never_negative_at_any_size(size: tuple[int, int]) -> None:
    for seed in range(20):
        rain = render_rain(drawn(seed, seed / 20), *size, time=seed * 0.7)
        assert rain.shape == size and rain.dtype == np.float32
        assert rain.min() >= 0 and np.isfinite(rain).all()


def test_one_seed_is_one_rain() -> None:
    one, again, other = drawn(5), drawn(5), drawn(6)
    assert one == again != other
    np.testing.assert_array_equal(render_rain(one, *SIZE), render_rain(again, *SIZE))
    moved = replace(one, seed=one.seed + 1)
    assert (render_rain(one, *SIZE) != render_rain(moved, *SIZE)).mean() > 0.05


def spectrum(field: NDArray[np.float32]) -> NDArray[np.complex128]:
    return np.fft.fft2(field - field.mean(dtype=np.float64))


@pytest.mark.parametrize("angle", [0.0, 25.0, -40.0])
@pytest.mark.parametrize("elapsed", [0.04, 0.13])
def test_streaks_fall_as_far_as_their_speed_says(angle: float, elapsed: float) -> None:
    rain = Rain((replace(LAYER, angle=angle),), seed=3)
    before, after = (spectrum(render_rain(rain, *SIZE, time=time)) for time in (0.5, 0.5 + elapsed))
    match = np.fft.ifft2(before.conj() * after).real
    down, right = np.unravel_index(match.argmax(), SIZE)
    distance, lean = LAYER.speed * elapsed, np.deg2rad(angle)
    assert match.max() > 0.9 * np.fft.ifft2(np.abs(before) ** 2).real.max()  # the same rain, moved
    assert down == pytest.approx(distance * np.cos(lean) % SIZE[0], abs=1)
    assert (right - distance * np.sin(lean) + 20) % SIZE[1] == pytest.approx(20, abs=1)


@pytest.mark.parametrize("angle", [0.0, 25.0, -40.0])
def test_streaks_lie_along_their_fall(angle: float) -> None:
    power = np.abs(spectrum(render_rain(Rain((replace(LAYER, angle=angle),), seed=3), *SIZE))) ** 2
    likeness = np.fft.ifft2(power).real

    def at(degrees: float) -> float:
        """Likeness of the rain to itself 8 pixels away in that direction from the vertical."""
        turn = np.deg2rad(degrees)
        return float(likeness[round(8 * np.cos(turn)), round(8 * np.sin(turn))])

    directions = np.arange(-85, 95, 5)
    assert max(directions, key=at) == pytest.approx(angle, abs=6)


def test_mist_and_drops_on_the_lens_do_not_fall() -> None:
    still = Rain((), mist=20.0, drops=10.0, seed=4)
    first = render_rain(still, *SIZE, time=0.0)
    np.testing.assert_array_equal(first, render_rain(still, *SIZE, time=3.0))
    assert first.max() > 5


def test_mist_has_the_mean_that_was_asked_for() -> None:
    means = [render_rain(Rain((), mist=20.0, seed=seed), *SIZE).mean() for seed in range(40)]
    assert np.mean(means) == pytest.approx(20, rel=0.15)


@pytest.mark.parametrize(
    ("heaviness", "measured"), [(0.2, (23.4, 5.7, 67)), (0.85, (88, 54, 151))], ids=["Rain100L", "Rain100H"]
)
def test_rain_is_as_heavy_as_that_of_the_data_sets(
    heaviness: float, measured: tuple[float, float, float]
) -> None:
    share, mean, high = added_by(heaviness)
    assert share == pytest.approx(measured[0], abs=8)
    assert (mean, high) == pytest.approx(measured[1:], rel=0.25)


def test_heavier_is_more_rain() -> None:
    rains = [added_by(heaviness, count=12) for heaviness in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert rains[0][0] > 1  # drizzle is rain
    for lighter, heavier in pairwise(rains):
        assert heavier[0] > lighter[0] and heavier[1] > 1.2 * lighter[1]


@pytest.mark.parametrize(("given", "used"), [(-1.0, 0.0), (7.0, 1.0)])
def test_heaviness_ends_at_its_ends(given: float, used: float) -> None:
    assert drawn(2, given) == drawn(2, used)
