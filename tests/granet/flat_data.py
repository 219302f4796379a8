"""Data sets whose figures can be worked out by hand: gray pictures, and rain that is one number."""

from pathlib import Path

import cv2
import numpy as np

from granet.data.datasets import Dataset, open_dataset
from granet.data.image_files import Pixels

CLEAN = 100
RAIN = (10, 20, 30)
"""Levels that the rain adds to all of picture 1, 2 and 3."""


def psnr(error: float) -> float:
    """PSNR in dB of a picture that is off by ``error`` levels everywhere."""
    return float(20 * np.log10(255 / error))


def flat(level: int, height: int = 24, width: int = 32) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def write_pairs(directory: Path) -> str:
    """Writes the pairs ``rain-1`` to ``rain-3``; gives their spec."""
    for side in ("rainy", "clean"):
        (directory / side).mkdir(parents=True)
    for number, rain in enumerate(RAIN, 1):
        cv2.imwrite(str(directory / "rainy" / f"rain-{number}.png"), flat(CLEAN + rain))
        cv2.imwrite(str(directory / "clean" / f"norain-{number}.png"), flat(CLEAN))
    return f"rain100l:{directory}"


def flat_dataset(directory: Path) -> Dataset:
    return open_dataset(write_pairs(directory), "test")


def halve(rainy: Pixels) -> Pixels:
    """Takes half of the rain away."""
    return np.asarray((rainy.astype(int) + CLEAN) // 2, np.uint8)
