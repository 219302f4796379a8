"""Input and result against each other, side by side or in one picture: what goes where, and the labels."""

from dataclasses import dataclass

import cv2
import numpy as np

from runtime.media.frame import Pixels

DIVIDER = 4
"""Width of the divider in pixels. Even, so that the right half starts at an even column if the left
one ends at one: subsampled colours then have the same place in both halves."""

LABELS = ("input", "result")

_WHITE = 255
_BACKGROUND = 24
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Label:
    """A label in its place.

    Attributes:
        top: row of its first pixel, even.
        left: column of its first pixel in the comparison; even if the frame's width is.
        pixels: uint8 h x w x 3 with even sides; gray, so the same in every colour order.
    """

    top: int
    left: int
    pixels: Pixels


def joined_width(width: int) -> int:
    """Pixels across a comparison of frames ``width`` pixels wide."""
    return 2 * width + DIVIDER


def labels(height: int, width: int) -> list[Label]:
    """The labels for frames of ``height`` x ``width`` pixels; none where there is no room for them."""
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
    """Draws comparisons of frames; its picture is drawn over by the next one."""

    def __init__(self) -> None:
        self._canvas: Pixels = np.empty((0, 0, 3), np.uint8)
        self._labels: list[Label] = []

    def join(self, before: Pixels, after: Pixels) -> Pixels:
        """Input left, result right.

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
    """Draws the input left of a column and the result right of it, as a slider shows them.

    Its picture is drawn over by the next one.
    """

    def __init__(self) -> None:
        self._canvas: Pixels = np.empty((0, 0, 3), np.uint8)
        self._labels: list[Label] = []

    def join(self, before: Pixels, after: Pixels, cut: int) -> Pixels:
        """One picture of two, with a white line between them.

        Args:
            before: uint8 H x W x 3.
            after: uint8 H x W x 3, in the same colour order.
            cut: columns of the input, 0 to W.

        Returns:
            uint8 H x W x 3, valid until the next call. A side that is too narrow has no label.
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
    """The transparency of a comparison of two pictures that both have ``alpha`` (uint8 H x W)."""
    divider = np.full((alpha.shape[0], DIVIDER), _WHITE, np.uint8)
    return np.concatenate([alpha, divider, alpha], axis=1)
