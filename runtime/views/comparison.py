"""Comparisons of input and result, side by side or as one split picture: layout and labels."""

from dataclasses import dataclass

import cv2
import numpy as np

from runtime.media.frame import Pixels

DIVIDER = 4
"""Width of the divider in pixels. It is even, so that frames of even width keep their chroma samples
aligned in both halves."""

LABELS = ("input", "result")

_WHITE = 255
_BACKGROUND = 24
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Label:
    """A label and its position.

    Attributes:
        top: row of its first pixel; even.
        left: column of its first pixel in the comparison; even if the frame's width is even.
        pixels: uint8 h x w x 3 with even sides; grey, so the colour order does not matter.
    """

    top: int
    left: int
    pixels: Pixels


def joined_width(width: int) -> int:
    """Width in pixels of a comparison of frames that are ``width`` pixels wide."""
    return 2 * width + DIVIDER


def labels(height: int, width: int) -> list[Label]:
    """The labels for frames of ``height`` x ``width`` pixels; empty if they do not fit."""
    margin = max(2, height // 60 // 2 * 2)
    drawn = [_draw(text, height) for text in LABELS]
    room = (height - 2 * margin) // 4, width - 2 * margin
    if any(pixels.shape[0] > room[0] or pixels.shape[1] > room[1] for pixels in drawn):
        return []
    return [
        Label(margin, left + margin, pixels) for left, pixels in zip((0, width + DIVIDER), drawn, strict=True)
    ]


def _draw(text: str, height: int) -> Pixels:
    scale = max(0.4, height / 1200)
    thickness = max(1, round(scale * 1.5))
    (width, ascent), descent = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = max(3, round(6 * scale))
    rows, columns = (side + side % 2 for side in (ascent + descent + 2 * pad, width + 2 * pad))
    box = np.full((rows, columns, 3), _BACKGROUND, np.uint8)
    cv2.putText(box, text, (pad, pad + ascent), _FONT, scale, (_WHITE,) * 3, thickness, cv2.LINE_AA)
    return box


class SideBySide:
    """Draws side-by-side comparisons; each call reuses the same canvas."""

    def __init__(self) -> None:
        self._canvas: Pixels = np.empty((0, 0, 3), np.uint8)
        self._labels: list[Label] = []

    def join(self, before: Pixels, after: Pixels) -> Pixels:
        """Draws the input on the left and the result on the right.

        Args:
            before: uint8 H x W x 3.
            after: uint8 H x W x 3, in the same colour order.

        Returns:
            uint8 H x (2 W + 4) x 3, valid until the next call.
        """
        height, width = after.shape[:2]
        if self._canvas.shape[:2] != (height, joined_width(width)):
            self._canvas = np.full((height, joined_width(width), 3), _WHITE, np.uint8)
            self._labels = labels(height, width)
        self._canvas[:, :width] = before
        self._canvas[:, width + DIVIDER :] = after
        for label in self._labels:
            rows, columns = label.pixels.shape[:2]
            self._canvas[label.top : label.top + rows, label.left : label.left + columns] = label.pixels
        return self._canvas


class CutPicture:
    """Draws the input left of a column and the result right of it, for a slider.

    Each call reuses the same canvas.
    """

    def __init__(self) -> None:
        self._canvas: Pixels = np.empty((0, 0, 3), np.uint8)
        self._labels: list[Label] = []

    def join(self, before: Pixels, after: Pixels, cut: int) -> Pixels:
        """Draws one split picture with a white line at the cut.

        Args:
            before: uint8 H x W x 3.
            after: uint8 H x W x 3, in the same colour order.
            cut: number of columns taken from the input, 0 to W.

        Returns:
            uint8 H x W x 3, valid until the next call. A side too narrow for its label has none.
        """
        if self._canvas.shape != after.shape:
            self._canvas = np.empty_like(after)
            self._labels = labels(*after.shape[:2])
        width = after.shape[1]
        self._canvas[:, :cut] = before[:, :cut]
        self._canvas[:, cut:] = after[:, cut:]
        self._canvas[:, max(0, cut - DIVIDER // 2) : cut + DIVIDER // 2] = _WHITE
        for label, room in zip(self._labels, (cut, width - cut), strict=False):
            rows, columns = label.pixels.shape[:2]
            margin = self._labels[0].left
            if room < columns + 2 * margin:
                continue
            left = margin if label is self._labels[0] else width - margin - columns
            self._canvas[label.top : label.top + rows, left : left + columns] = label.pixels
        return self._canvas


def join_alpha(alpha: Pixels) -> Pixels:
    """Alpha channel, uint8 H x (2 W + 4), of a comparison of pictures sharing ``alpha`` (uint8 H x W)."""
    divider = np.full((alpha.shape[0], DIVIDER), _WHITE, np.uint8)
    return np.concatenate([alpha, divider, alpha], axis=1)
