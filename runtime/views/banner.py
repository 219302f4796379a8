"""A line of text across a picture that warns the viewer."""

import cv2
import numpy as np

from runtime.media.frame import Frame, Pixels, repainted

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE = (255, 255, 255)
_SHADE = 0.35
"""Brightness factor for the picture behind the text."""


def draw_banner(pixels: Pixels, text: str) -> Pixels:
    """A copy of a picture with a dark band and ``text`` across its middle.

    Args:
        pixels: uint8 H x W x 3, in any channel order; not modified.
        text: one line of ASCII; scaled down to fit the width.

    Returns:
        uint8 H x W x 3, new.
    """
    height, width = pixels.shape[:2]
    scale = max(0.3, height / 500)
    (length, rows), below = cv2.getTextSize(text, _FONT, scale, 1)
    scale *= min(1.0, 0.94 * width / max(1, length))
    thickness = max(1, round(scale * 1.4))
    (length, rows), below = cv2.getTextSize(text, _FONT, scale, thickness)
    band = min(height, 2 * (rows + below))
    top = (height - band) // 2
    drawn = pixels.copy()
    drawn[top : top + band] = (drawn[top : top + band] * _SHADE).astype(np.uint8)
    place = ((width - length) // 2, top + (band + rows) // 2)
    cv2.putText(drawn, text, place, _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
    return drawn


def with_fault(frame: Frame) -> Frame:
    """The frame itself, or a copy with a warning banner if it bypassed a failed engine."""
    if not frame.fault:
        return frame
    return repainted(frame, draw_banner(frame.pixels, "RAIN NOT REMOVED: engine failed"))
