"""Rain that is too faint to show in a single picture.

A frame of faint rain has streaks in a few blocks, so the median over its blocks is 0. But rain falls
everywhere: after some frames most blocks have had a streak, and those of a dry scene have not. So the streaks
are averaged over frames, block by block, before the median is taken.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

FRAMES = 12
"""Frames that are averaged."""

FAINT_FROM = 0.004
"""Strength in grey levels from which it rains. Light synthetic rain with 40% of its brightness mostly has
0.007 to 0.038, real rain with 40% of its brightness 0.020 to 0.040."""

FAINT_BELOW = 0.003
"""Strength below which frames may be dry. Three dry videos have at most 0.0029."""


class FaintRain:
    """Measures the rain in the latest frames of one video."""

    def __init__(self) -> None:
        self._blocks: deque[NDArray[np.float32]] = deque(maxlen=FRAMES)

    def strength_with(self, blocks: NDArray[np.float32]) -> float:
        """The strength in grey levels in the latest frames; a frame of another size starts anew.

        Args:
            blocks: those of the next frame, from :func:`runtime.views.rain_strength.block_strengths`.
        """
        if self._blocks and self._blocks[0].shape != blocks.shape:
            self._blocks.clear()
        self._blocks.append(blocks)
        return float(np.median(np.mean(self._blocks, axis=0)))
