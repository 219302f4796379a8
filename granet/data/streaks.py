"""Transplants rain: takes rainy - clean from training pairs and adds it to other photographs.

Rain100L and Rain100H are exactly additive with the same S in all three channels (Yang et al., CVPR 2017), so
the difference of a pair is its rain wherever no channel is saturated. A saturated channel hides a part of S,
so the largest difference of the three channels is the best estimate.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from granet.data.image_files import Pixels

Floats = NDArray[np.float32]

STRENGTH = (0.3, 1.2)
"""Range of the factor by which the rain is scaled, so that heavy rain also gives light rain."""


def rain_of(rainy: Pixels, clean: Pixels) -> Floats:
    """Estimates the rain S of a pair: float32 H x W in grey levels, at least 0.

    Args:
        rainy: uint8 H x W x 3.
        clean: the same without rain.
    """
    difference = rainy.astype(np.int16) - clean
    return np.asarray(np.maximum(difference.max(axis=2), 0), np.float32)


def transplanted(
    read: Callable[[int], tuple[Pixels, Pixels]],
    count: int,
    rng: np.random.Generator,
    height: int,
    width: int,
) -> Floats:
    """Takes the rain of a random pair, and crops, mirrors and scales it at random.

    Args:
        read: reads the rainy and the clean picture of a pair by its number.
        count: number of pairs.
        rng: source of all random choices.
        height: pixels.
        width: pixels.

    Returns:
        float32 height x width in grey levels; padded by reflection if the pair is smaller.
    """
    rain = rain_of(*read(int(rng.integers(count))))
    rain = rain * np.float32(rng.uniform(*STRENGTH))
    if rng.random() < 0.5:
        rain = rain[:, ::-1]
    down, right = max(0, height - rain.shape[0]), max(0, width - rain.shape[1])
    if down or right:
        rain = np.asarray(cv2.copyMakeBorder(rain, 0, down, 0, right, cv2.BORDER_REFLECT_101), np.float32)
    top = int(rng.integers(rain.shape[0] - height + 1))
    left = int(rng.integers(rain.shape[1] - width + 1))
    return np.ascontiguousarray(rain[top : top + height, left : left + width])
