"""The rain that is removed, painted over the picture it was removed from."""

import cv2
import numpy as np

from runtime.media.frame import Colour, Pixels

_GAIN = 4
"""Streaks are faint: 32 grey levels of rain paint half, 64 and more all of a pixel."""

_PAINT = {"bgr": (32, 160, 255), "rgb": (255, 160, 32)}
_BACKGROUND = 0.45


def removed_rain(before: Pixels, after: Pixels) -> Pixels:
    """What was taken away: max(0, before - after), uint8 H x W x 3; rain only ever brightens."""
    return np.asarray(cv2.subtract(before, after), np.uint8)


def without_offset(mask: Pixels) -> Pixels:
    """A network's rain mask less its median over the frame, channel by channel.

    Nothing in training ties the coarse stage's mask to zero where it is dry: the fine stage undoes a constant
    colour as well. The packaged weights learned one of 17, 3 and 12 levels of red, green and blue, which
    would veil every picture. Rain that covers more than half of a frame loses what is common to all of it.

    Args:
        mask: uint8 H x W x 3, grey levels.

    Returns:
        uint8 H x W x 3, new; 0 where the mask is at its median or below.
    """
    half = mask.shape[0] * mask.shape[1] / 2
    counts = (np.cumsum(cv2.calcHist([mask], [channel], None, [256], [0, 256])) for channel in range(3))
    medians = [int(np.searchsorted(below, half)) for below in counts]
    return np.asarray(cv2.subtract(mask, np.array([*medians, 0], np.float64)), np.uint8)


def paint_rain(before: Pixels, rain: Pixels, colour: Colour) -> Pixels:
    """A darkened grey picture with rain in orange.

    Args:
        before: uint8 H x W x 3 with the rain in it, in ``colour`` order.
        rain: uint8 H x W x 3, grey levels that the rain adds: a network's mask, or
            :func:`removed_rain`.
        colour: channel order.

    Returns:
        uint8 H x W x 3, new, in ``colour`` order.
    """
    gray = np.asarray(before, np.float32).mean(axis=2, keepdims=True) * _BACKGROUND
    share = np.minimum(1.0, rain.max(axis=2, keepdims=True).astype(np.float32) * (_GAIN / 255))
    paint = np.array(_PAINT[colour], np.float32)
    return np.asarray(gray + share * (paint - gray), np.uint8)
