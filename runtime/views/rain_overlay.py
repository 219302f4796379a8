"""Overlay of the removed rain on the input picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.media.frame import Colour, Pixels

_NOISE, _HEAVY = 4, 64
"""Grey levels of rain up to which nothing is painted, and from which the paint is strongest. Every result
differs from its input by a few levels, which must not tint the whole picture."""

_PAINT = {"bgr": (255, 190, 40), "rgb": (40, 190, 255)}
"""One hue, a light blue: brighter than any background, and different from grey for the colour-blind too."""

_BACKGROUND = 0.55


def _shares() -> NDArray[np.float32]:
    """Opacity by grey level of rain: a cubic Hermite step, flat at both ends."""
    step = np.clip((np.arange(256) - _NOISE) / (_HEAVY - _NOISE), 0, 1)
    return np.asarray(step**2 * (3 - 2 * step), np.float32)


_SHARES = _shares()


def removed_rain(before: Pixels, after: Pixels) -> Pixels:
    """The removed rain: max(0, before - after), uint8 H x W x 3. Rain only ever brightens a pixel."""
    return np.asarray(cv2.subtract(before, after), np.uint8)


def without_offset(mask: Pixels) -> Pixels:
    """A network's rain mask minus its per-channel median over the frame.

    Training does not force the coarse stage's mask to zero in dry areas, because the fine stage also removes
    a constant colour. The packaged weights learned an offset of 17, 3 and 12 levels in red, green and blue,
    which would veil every picture. Rain that covers more than half of a frame loses its common part.

    Args:
        mask: uint8 H x W x 3, grey levels.

    Returns:
        uint8 H x W x 3, new; 0 where the mask is at or below its median.
    """
    half = mask.shape[0] * mask.shape[1] / 2
    counts = (np.cumsum(cv2.calcHist([mask], [channel], None, [256], [0, 256])) for channel in range(3))
    medians = [int(np.searchsorted(below, half)) for below in counts]
    return np.asarray(cv2.subtract(mask, np.array([*medians, 0], np.float64)), np.uint8)


def paint_rain(before: Pixels, rain: Pixels, colour: Colour) -> Pixels:
    """Draws the rain in light blue on a darkened grey picture; the opacity grows smoothly with the rain.

    Args:
        before: uint8 H x W x 3 rainy picture, in ``colour`` order.
        rain: uint8 H x W x 3, grey levels added by the rain: a network's mask or the result of
            :func:`removed_rain`.
        colour: channel order.

    Returns:
        uint8 H x W x 3, new, in ``colour`` order.
    """
    gray = np.asarray(before, np.float32).mean(axis=2, keepdims=True) * _BACKGROUND
    share = _SHARES[rain.max(axis=2, keepdims=True)]
    paint = np.array(_PAINT[colour], np.float32)
    return np.asarray(gray + share * (paint - gray), np.uint8)
