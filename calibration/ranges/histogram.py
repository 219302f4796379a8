"""A histogram that grows with what it sees, and whose counts do not depend on the order of seeing it.

Bins are a power of two wide, and one edge is at zero. A value beyond the last edge makes every bin twice as
wide, which adds neighbours two by two and loses nothing that a coarser histogram from the start would
have kept. Zeros are counted apart: after a ReLU they are half of all values, and no quantisation with
a zero point has an error there.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SIDE = 4096
"""Bins on each side of zero; at least half of those on the longer side are in use."""

_SMALLEST = -126
"""Exponent of the narrowest bin: that of the smallest normal float32."""


@dataclass
class Histogram:
    """Counts of the finite values of one tensor.

    Attributes:
        exponent: bins are ``2**exponent`` wide.
        counts: int64 of 2 * :data:`SIDE` bins; number SIDE starts at zero.
        zeros: values that are exactly zero; they are not in ``counts``.
    """

    exponent: int = _SMALLEST
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * SIDE, np.int64))
    zeros: int = 0

    @property
    def width(self) -> float:
        """Of a bin, in the units of the tensor."""
        return math.ldexp(1.0, self.exponent)

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum()) + self.zeros

    def add(self, values: NDArray[np.float32]) -> None:
        """Counts ``values``, which must be finite; any shape."""
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
        """Counts by absolute value: int64 of :data:`SIDE` bins, from zero on."""
        return self.counts[SIDE:] + self.counts[:SIDE][::-1]

    def _reach(self, largest: float) -> None:
        """Widens the bins until ``largest`` lies within them."""
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
