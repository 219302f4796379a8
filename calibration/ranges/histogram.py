"""A histogram that extends its range as needed; the counts do not depend on the order of the values.

The bin width is a power of two, and one edge is at zero. A value beyond the last edge doubles the bin width
by merging neighbouring bins, which gives the same counts as a histogram with wide bins from the start.
Zeros are counted separately: after a ReLU they are half of all values, and quantisation with a zero-point
represents them exactly.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SIDE = 4096
"""Number of bins on each side of zero; the longer side uses at least half of them."""

_SMALLEST = -126
"""Exponent of the smallest bin width: that of the smallest normal float32."""


@dataclass
class Histogram:
    """Counts of the finite values of one tensor.

    Attributes:
        exponent: the bin width is ``2**exponent``.
        counts: int64, 2 * :data:`SIDE` bins; bin SIDE starts at zero.
        zeros: number of values that are exactly zero; they are not in ``counts``.
    """

    exponent: int = _SMALLEST
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * SIDE, np.int64))
    zeros: int = 0

    @property
    def width(self) -> float:
        """Width of a bin, in the units of the tensor."""
        return math.ldexp(1.0, self.exponent)

    @property
    def total(self) -> int:
        """Number of all values."""
        return int(self.counts.sum()) + self.zeros

    def add(self, values: NDArray[np.float32]) -> None:
        """Adds ``values`` of any shape, which must be finite."""
        flat = values.ravel()
        if not flat.size:
            return
        self._reach(float(np.abs(flat).max()))
        bins = np.floor(flat * np.float32(math.ldexp(1.0, -self.exponent))).astype(np.int64) + SIDE
        counted = np.bincount(bins, minlength=2 * SIDE)
        zeros = int(np.count_nonzero(flat == 0))
        counted[SIDE] -= zeros
        self.counts += counted
        self.zeros += zeros

    def magnitudes(self) -> NDArray[np.int64]:
        """Counts by absolute value: int64, :data:`SIDE` bins starting at zero."""
        return self.counts[SIDE:] + self.counts[:SIDE][::-1]

    def _reach(self, largest: float) -> None:
        """Widens the bins until the histogram contains ``largest``."""
        # frexp: largest = m * 2**e with 0.5 <= m < 1, so that largest < 2**e = SIDE * 2**needed.
        needed = max(_SMALLEST, math.frexp(largest)[1] - (SIDE.bit_length() - 1)) if largest else _SMALLEST
        while self.exponent < needed:
            if not self.counts.any():
                self.exponent = needed
                return
            self._double()

    def _double(self) -> None:
        pairs = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.zeros(2 * SIDE, np.int64)
        self.counts[SIDE // 2 : SIDE // 2 + SIDE] = pairs
        self.exponent += 1
