"""Small rainy and dry pictures on disk."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.media.frame import Pixels

SIZE = (64, 64)


@lru_cache(maxsize=2)
def _streets(seed: int) -> Pixels:
    return street(240, 320, seed=seed)


def picture(seed: int, heaviness: float | None) -> Pixels:
    """A part of a drawn street, with a brightness by its seed; ``None`` leaves it dry."""
    height, width = SIZE
    top, left = seed * 29 % (240 - height), seed * 53 % (320 - width)
    clean = _streets(seed % 2)[top : top + height, left : left + width]
    scaled = np.rint(clean * (0.35 + 0.6 * (seed * 37 % 100) / 100)).astype(np.uint8)
    if heaviness is None:
        # Soft, as a street has fine vertical lines at this size.
        return np.asarray(cv2.GaussianBlur(scaled, (0, 0), 2), np.uint8)
    return add_rain(scaled, render_rain(sample_rain(np.random.default_rng(seed), heaviness), *SIZE))


def write_pictures(directory: Path, rainy: int, dry: int = 0) -> Path:
    directory.mkdir(exist_ok=True)
    for i in range(rainy + dry):
        pixels = picture(i, 0.4 + 0.6 * i / max(1, rainy) if i < rainy else None)
        cv2.imwrite(str(directory / f"p{i}.png"), pixels)
    return directory
