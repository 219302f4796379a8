"""The histogram must agree with numpy, in any order of the values."""

import numpy as np
import pytest

from calibration.ranges.histogram import Histogram

SIDE = 4096
"""Bins on each side of zero: finer than eight bits by far, and still quick to search."""


def filled(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part.astype(np.float32))
    return histogram


def test_counts_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, scale, 5000).astype(np.float32) for scale in (0.01, 3.0, 0.5)]
    histogram = filled(*parts)
    edges = np.arange(-SIDE, SIDE + 1) * histogram.width
    expected, _ = np.histogram(np.concatenate(parts).astype(np.float64), edges)
    np.testing.assert_array_equal(histogram.counts, expected)
    assert histogram.total == 15_000
    used = np.abs(np.concatenate(parts)).max() / histogram.width
    assert SIDE / 2 <= used <= SIDE  # no resolution is given away


def test_the_order_makes_no_difference() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(0, 10.0**power, 1000) for power in range(-4, 4)]
    there, back = filled(*parts), filled(*parts[::-1])
    np.testing.assert_array_equal(there.counts, back.counts)
    assert there.exponent == back.exponent


def test_zeros_are_counted_separately() -> None:
    histogram = filled(np.maximum(np.random.default_rng(2).normal(size=1000), 0), np.zeros(10))
    assert 400 < histogram.zeros < 600
    assert histogram.total == 1010
    assert histogram.counts[:SIDE].sum() == 0


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [-0.0], [1e-40], [3e38, -3e38], [1.0], [-1.0], [4096.0]])
def test_odd_values_are_counted_once(values: list[float]) -> None:
    assert filled(np.array(values, np.float32)).total == len(values)
