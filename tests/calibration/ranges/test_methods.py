"""Clipping ranges against numpy, against the literature, and against ONNX Runtime's own calibration."""

from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from calibration.ranges.histogram import Histogram
from calibration.ranges.methods import Seen, clipping_range, entropy_threshold, mse_threshold, percentile_ends

METHODS = ("entropy", "percentile", "minmax", "mse")
"""Values of ``granet-export calibrate --method``."""

# Quantiles at even steps: the exact distribution, without sampling noise.
_EVEN = (np.arange(200_000) + 0.5) / 200_000
NORMAL = np.array([NormalDist().inv_cdf(share) for share in _EVEN], np.float32)
LAPLACE = (-np.sign(_EVEN - 0.5) * np.log1p(-2 * np.abs(_EVEN - 0.5))).astype(np.float32)
OUTLIER = np.append(NORMAL, np.float32(60))


def histogram_of(values: NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def seen(values: NDArray[np.float32]) -> Seen:
    return Seen(float(values.min()), float(values.max()), histogram_of(values))


def rounding_error(values: NDArray[np.float32], threshold: float) -> float:
    """Mean squared error of symmetric int8, computed directly."""
    step = threshold / 127
    rounded = np.clip(np.rint(values / step), -127, 127) * step
    return float(np.mean((values - rounded) ** 2))


@pytest.mark.parametrize(("values", "published"), [(NORMAL, 3.92), (LAPLACE, 9.89)])
def test_mse_finds_the_optimum_of_the_literature(values: NDArray[np.float32], published: float) -> None:
    """Banner et al., *Post training 4-bit quantization* (ACIQ), 2019: in units of sigma and of b, 8 bits."""
    assert mse_threshold(histogram_of(values)) == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize(
    "values",
    [NORMAL, LAPLACE, OUTLIER, np.maximum(NORMAL, 0), np.append(NORMAL * 0.001, NORMAL[:500] * 2)],
    ids=["normal", "laplace", "outlier", "relu", "nearly all tiny"],
)
def test_mse_is_as_good_as_trying_every_threshold(values: NDArray[np.float32]) -> None:
    largest = float(np.abs(values).max())
    best = min(rounding_error(values, largest * share) for share in np.geomspace(0.03, 1, 60))
    assert rounding_error(values, mse_threshold(histogram_of(values))) <= 1.03 * best


def test_percentile_ends_are_numpys_quantiles_to_a_bin() -> None:
    values = np.concatenate([NORMAL, LAPLACE * 2 + 1])
    histogram = histogram_of(values)
    low, high = percentile_ends(histogram, 99.9)
    np.testing.assert_allclose([low, high], np.quantile(values, [0.001, 0.999]), atol=0.05)
    assert np.mean(values > high) <= 0.001 < np.mean(values > high - histogram.width)
    assert np.mean(values < low) <= 0.001 < np.mean(values < low + histogram.width)


def test_entropy_agrees_with_onnxruntime() -> None:
    """Approximately: ONNX Runtime truncates counts to integers and adds the remainder to the last group."""
    for values in (NORMAL, LAPLACE):
        largest = float(np.abs(values).max())
        counts, edges = np.histogram(np.concatenate([values, -values]), 512, (-largest, largest))
        collector = HistogramCollector("entropy", True, 512, 255, None, None)
        ends = np.float32(-largest), np.float32(largest)
        _, theirs = collector.get_entropy_threshold((counts, edges, *ends, ends[1]), 255)
        assert entropy_threshold(histogram_of(values)) == pytest.approx(float(theirs), rel=0.25)


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_after_a_relu_starts_at_zero(method: str) -> None:
    low, high = clipping_range(seen(np.maximum(NORMAL, 0)), method)
    assert low == 0.0
    assert 2.5 < high <= NORMAL.max()


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_that_is_never_negative_still_spans_zero(method: str) -> None:
    low, high = clipping_range(seen(np.abs(NORMAL) * 0.01 + 5), method)
    assert low == 0.0 and high > 4.9


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_of_zeros_has_no_extent(method: str) -> None:
    assert clipping_range(seen(np.zeros(10, np.float32)), method) == (0.0, 0.0)


def test_an_outlier_widens_only_minmax() -> None:
    assert clipping_range(seen(OUTLIER), "minmax") == (float(NORMAL.min()), 60.0)
    for method in ("percentile", "mse", "entropy"):
        assert clipping_range(seen(OUTLIER), method)[1] < 30


def test_ranges_never_exceed_what_was_seen() -> None:
    for method in METHODS:
        low, high = clipping_range(seen(NORMAL[::4000]), method)
        assert NORMAL[::4000].min() <= low and high <= NORMAL[::4000].max()


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="magic"):
        clipping_range(seen(NORMAL), "magic")
