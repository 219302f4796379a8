"""Long lines of synthetic rain: their shape, and their amount against the 12 pairs of RainTrainH at hand."""

from collections import Counter
from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
import pytest

from granet.synthetic.lines import Floats, LineLayer, render_lines, sample_lines

LAYER = LineLayer(length=60, thickness=1, angle=0, cover=0.5, brightness=20, evenness=2, smooth=False)


def rendered(layer: LineLayer, height: int = 240, width: int = 320, seed: int = 1) -> Floats:
    return render_lines((layer,), np.random.default_rng(seed), height, width)


def drawn(heaviness: float, seed: int, height: int = 160, width: int = 240) -> Floats:
    rng = np.random.default_rng((seed, int(heaviness * 100)))
    return render_lines(sample_lines(rng, heaviness), rng, height, width)


def test_a_line_has_hard_ends_and_one_brightness() -> None:
    rain = np.rint(rendered(replace(LAYER, cover=0.02)) * 16)  # without the rounding of a Fourier transform
    lengths: Counter[int] = Counter()
    for column in rain.T:
        runs = [(bright > 0, list(values)) for bright, values in groupby(column)]
        # Lines that the border cuts are shorter.
        lengths.update(len(values) for is_line, values in runs[1:-1] if is_line)
    assert lengths.total() >= 3
    assert lengths.most_common(1)[0][0] == LAYER.length + 1  # both ends belong to it


@pytest.mark.parametrize("thickness", [1, 2, 3])
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_the_mean_is_the_brightness(thickness: int, smooth: bool, angle: float) -> None:
    layer = replace(LAYER, thickness=thickness, smooth=smooth, angle=angle)
    mean = np.mean([rendered(layer, seed=seed).mean() for seed in range(8)])
    assert mean == pytest.approx(20, rel=0.12)


@pytest.mark.parametrize("angle", [-25.0, 25.0])
def test_lines_with_a_positive_angle_fall_to_the_right(angle: float) -> None:
    rain = rendered(replace(LAYER, angle=angle)).astype(np.float64)
    above, below = rain[:-20] - rain.mean(), rain[20:] - rain.mean()
    shifts = range(-20, 21)
    match = [float((np.roll(above, shift, axis=1) * below).mean()) for shift in shifts]
    assert shifts[int(np.argmax(match))] == pytest.approx(20 * np.tan(np.deg2rad(angle)), abs=1.5)


@pytest.mark.parametrize("size", [(16, 16), (17, 131), (129, 64)])
def test_every_size_and_heaviness_has_its_rain(size: tuple[int, int]) -> None:
    for seed in range(12):
        rain = drawn(seed / 11, seed, *size)
        assert rain.shape == size and rain.dtype == np.float32
        assert np.isfinite(rain).all() and rain.min() >= 0


def test_equal_draws_give_equal_rain() -> None:
    np.testing.assert_array_equal(drawn(0.5, 3), drawn(0.5, 3))
    assert (drawn(0.5, 3) != drawn(0.5, 4)).mean() > 0.2


def test_heavy_lines_cover_as_much_as_the_rain_of_rain100h() -> None:
    # Rain100H: 88% of the pixels above 3, mean 54, 99th percentile 151, after clipping at white.
    rains = [np.minimum(drawn(0.85, seed), 150) for seed in range(24)]
    share = np.mean([(rain > 3).mean() for rain in rains])
    assert 0.78 < share < 0.96
    assert 40 < np.mean([rain.mean() for rain in rains]) < 68


def test_more_heaviness_is_more_rain() -> None:
    means = [
        np.mean([drawn(heaviness, seed).mean() for seed in range(12)]) for heaviness in (0.05, 0.3, 0.6, 1)
    ]
    assert 0 < means[0] < 5
    assert all(heavier > 1.4 * lighter for lighter, heavier in pairwise(means))
