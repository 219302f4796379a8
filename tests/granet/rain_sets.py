"""Small data sets in their authors' layouts, for the tests of data and training."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SHARED = Path(__file__).parents[3] / "shared" / "data"
HEIGHT, WIDTH = 40, 56

Pixels = NDArray[np.uint8]


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """A smooth colourful picture, uint8 H x W x 3, RGB, that no other seed gives."""
    small = np.random.default_rng(seed).integers(20, 200, (5, 7, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def rainier(clean: Pixels) -> Pixels:
    """Every fifth column brighter by 50."""
    rainy = clean.copy()
    rainy[:, ::5] += 50
    return rainy


def write(path: Path, rgb: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def clean_directory(root: Path, count: int = 6) -> Path:
    for i in range(count):
        write(root / f"{i}.png", picture(i))
    return root


def pairs_directory(root: Path, count: int = 4) -> str:
    """The spec of a few pairs."""
    for i in range(count):
        write(root / "rainy" / f"{i}.png", rainier(picture(i)))
        write(root / "clean" / f"{i}.png", picture(i))
    return f"pairs:{root / 'rainy'},{root / 'clean'}"
