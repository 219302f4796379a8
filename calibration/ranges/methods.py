"""Computes the clipping range of a tensor from its observed values, by one of four methods.

All methods compute the range of symmetric int8, limited to the observed values, so that a tensor without
negative values has low = 0. An unsigned 8-bit format has twice the levels in the same range: its error is
never larger, and its best range slightly wider.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.ranges.histogram import Histogram
from calibration.table import Range

LEVELS = 127
"""Steps from zero to the end of symmetric int8; -128 is unused, as in TensorRT."""

PERCENT = 99.99
"""Percentage of all values, including zeros, within each end of ``percentile``; of a 480x320 map of 16
channels 246 values lie beyond. The 99.9 that suffices for classifiers would clip the brightest streaks: on
Rain100L one pixel in a hundred is rain of 67 levels or more."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """The observed values of one tensor.

    Attributes:
        low: exact smallest value.
        high: exact largest value.
        histogram: histogram of a sample of the values.
    """

    low: float
    high: float
    histogram: Histogram


def clipping_range(seen: Seen, method: str) -> Range:
    """The range of the 8-bit values, (low, high) with low <= 0 <= high.

    Args:
        seen: observed values of the tensor.
        method: ``minmax``, all observed values; ``percentile``, all but the ends (:data:`PERCENT`);
            ``entropy``, see :func:`entropy_threshold`; ``mse``, see :func:`mse_threshold`.

    Raises:
        ValueError: for another method.
    """
    low, high = min(0.0, seen.low), max(0.0, seen.high)
    if method == "minmax":
        return low, high
    if method == "percentile":
        bottom, top = percentile_ends(seen.histogram, PERCENT)
    elif method == "entropy":
        top = entropy_threshold(seen.histogram)
        bottom = -top
    elif method == "mse":
        top = mse_threshold(seen.histogram)
        bottom = -top
    else:
        raise ValueError(f"unknown method {method!r}")
    return max(low, bottom), min(high, top)


def percentile_ends(histogram: Histogram, percent: float) -> Range:
    """The range with 100 - ``percent`` per cent of the values beyond each end, rounded outwards to a bin.

    The range contains 0: an end on the wrong side of 0 becomes 0.
    """
    beyond = (1 - percent / 100) * histogram.total
    middle = len(histogram.counts) // 2
    up = histogram.counts[middle:][::-1].cumsum()[::-1]  # values in this bin or further from zero
    down = histogram.counts[:middle].cumsum()[::-1]
    bins_up, bins_down = (int(np.count_nonzero(counts > beyond)) for counts in (up, down))
    return -bins_down * histogram.width, bins_up * histogram.width


def mse_threshold(histogram: Histogram, levels: int = LEVELS) -> float:
    """The threshold that minimises the expected squared error of symmetric 8-bit rounding.

    The error of a value x, with a step of threshold / levels, is x**2 if it is rounded to 0, step**2 / 12
    (uniform noise) if it is rounded to another level, and (|x| - threshold)**2 if it is clipped. All edges
    of the histogram are tried. This is the search of OMSE (Choukroun et al., *Low-bit Quantization of
    Neural Networks for Efficient Inference*, 2019) on a histogram.

    Returns:
        0 if the histogram is empty or all zeros.
    """
    counts = histogram.magnitudes().astype(np.float64)
    used = _used(counts)
    if not used:
        return 0.0
    centres = (np.arange(used) + 0.5) * histogram.width
    below = [_sums_below(counts[:used] * centres**power) for power in range(3)]
    edges = np.arange(1, used + 1)
    thresholds = edges * histogram.width
    steps = thresholds / levels
    # Values below half a step become 0; that limit may lie within a bin.
    dead = np.minimum(steps / 2 / histogram.width, edges)
    to_zero, lost = _interpolated(below[0], dead), _interpolated(below[2], dead)
    rounded = (below[0][edges] - to_zero) * steps**2 / 12
    beyond = [moment[-1] - moment[edges] for moment in below]
    clipped = beyond[2] - 2 * thresholds * beyond[1] + thresholds**2 * beyond[0]
    return float(thresholds[np.argmin(lost + rounded + clipped)])


def entropy_threshold(histogram: Histogram, levels: int = LEVELS + 1, stride: int = 16) -> float:
    """The threshold with the least divergence between quantised and original values, as in TensorRT.

    After Migacz, *8-bit Inference with TensorRT*, 2017: the reference P has all clipped values in its last
    bin, Q is P without clipped values, quantised to ``levels`` groups of bins, and the threshold has the
    least Kullback-Leibler divergence KL(P || Q). Zeros are ignored; every ``stride``-th edge is tried.

    Returns:
        0 if the histogram is empty or all zeros.
    """
    counts = histogram.magnitudes().astype(np.float64)
    used = _used(counts)
    if used <= levels:
        return used * histogram.width
    tried = np.unique([*range(levels, used, stride), used])
    divergences = [_divergence(counts[:used], int(edge), levels) for edge in tried]
    return float(tried[np.argmin(divergences)] * histogram.width)


def _divergence(counts: NDArray[np.float64], edge: int, levels: int) -> float:
    """KL(P || Q) over the first ``edge`` bins, with all counts beyond added to the last of them."""
    inside = counts[:edge]
    reference = inside.copy()
    reference[-1] += counts[edge:].sum()
    group = np.arange(edge) * levels // edge
    occupied = reference > 0
    sums = np.bincount(group, inside, levels)
    members = np.bincount(group, occupied, levels)
    quantised = np.where(occupied, sums[group] / np.maximum(members[group], 1), 0.0)
    if not quantised.any():
        return float("inf")
    p = _smoothed(reference)
    q = _smoothed(quantised)
    return float((p * np.log(p / q)).sum())


def _smoothed(counts: NDArray[np.float64], floor: float = 1e-4) -> NDArray[np.float64]:
    """Normalises counts to probabilities without zeros: each bin gets at least ``floor`` counts."""
    raised: NDArray[np.float64] = np.maximum(counts, floor)
    raised /= raised.sum()
    return raised


def _used(counts: NDArray[np.float64]) -> int:
    """Number of bins up to the last non-empty one."""
    occupied = np.flatnonzero(counts)
    return int(occupied[-1]) + 1 if occupied.size else 0


def _sums_below(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entry i is the sum of the first i values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _interpolated(sums: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.interp(places, np.arange(len(sums)), sums)
