"""Painting with numpy: smooth shapes and fractal textures, the same at every size.

Lengths are fractions of the picture's height, so a painting looks the same at every size. Edges are smooth:
the coverage of a pixel is computed from its distance to the edge in pixels.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]
Box = tuple[float, float, float, float]


class Canvas:
    """Pixels to paint on, float32 H x W x 3 in grey levels, any colour order.

    Textures have a random generator of their own: they draw more numbers for larger frames, and the places of
    objects must not depend on that.
    """

    def __init__(self, pixels: Floats, seed: int, offset: float = 0.0) -> None:
        """``offset``: distance in pixels of the left edge of ``pixels`` from coordinate 0, to the right."""
        self.pixels = pixels
        self.unit = pixels.shape[0]
        self.offset = offset
        self._texture_rng = np.random.default_rng([seed, 2])

    def area(self, box: Box) -> tuple[Floats, Floats, Floats]:
        """Row and column coordinates (n x 1 and 1 x m) and the n x m x 3 pixels of ``box``."""
        left, top, right, bottom = (side * self.unit for side in box)
        rows = slice(max(int(top) - 1, 0), max(int(bottom) + 2, 0))
        columns = slice(max(int(left - self.offset) - 1, 0), max(int(right - self.offset) + 2, 0))
        part = self.pixels[rows, columns]
        y = (np.arange(part.shape[0], dtype=np.float32)[:, None] + rows.start + 0.5) / self.unit
        x = (np.arange(part.shape[1], dtype=np.float32)[None] + columns.start + 0.5 + self.offset) / self.unit
        return y, x.astype(np.float32), part

    def paint(self, part: Floats, inside: ArrayLike, colour: ArrayLike, opacity: float = 1.0) -> None:
        """Paints ``colour`` on ``part`` where ``inside``, a distance to the edge in heights, is positive."""
        cover = np.clip(np.asarray(inside, np.float32) * self.unit + 0.5, 0, 1) * np.float32(opacity)
        part += cover[..., None] * (np.asarray(colour, np.float32) - part)

    def texture(self, part: Floats, down: float, across: float) -> Floats:
        """Fractal noise of mean 0 in [-0.5, 0.5], of the size of ``part``, from such cells down to pixels."""
        return _fractal(part.shape[:2], down * self.unit, across * self.unit, self._texture_rng)

    def box(self, box: Box, colour: Colour, opacity: float = 1.0, radius: float = 0.0) -> None:
        """Paints a filled rectangle (left, top, right, bottom) with rounded corners."""
        y, x, part = self.area(box)
        self.paint(part, rectangle(y, x, box, radius), colour, opacity)


def rectangle(y: Floats, x: Floats, box: Box, radius: float = 0.0) -> Floats:
    """Distance to the edge of a rectangle, positive inside."""
    left, top, right, bottom = box
    across = np.abs(x - (left + right) / 2) - (right - left) / 2 + radius
    along = np.abs(y - (top + bottom) / 2) - (bottom - top) / 2 + radius
    outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
    inside: Floats = radius - outside - np.minimum(np.maximum(across, along), 0)
    return inside


def _noise(shape: tuple[int, ...], cells: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Value noise in [0, 1], H x W: random numbers ``cells`` pixels apart, smoothly interpolated."""
    field = rng.random((int(shape[0] / cells[0]) + 2, int(shape[1] / cells[1]) + 2), np.float32)
    for axis in (0, 1):
        place = np.arange(shape[axis]) / cells[axis]
        before = place.astype(int)
        after = (place - before).astype(np.float32)
        after = (after * after * (3 - 2 * after)).reshape((-1, 1) if axis == 0 else (1, -1))
        field = field.take(before, axis) * (1 - after) + field.take(before + 1, axis) * after
    return field


def _fractal(shape: tuple[int, ...], down: float, across: float, rng: np.random.Generator) -> Floats:
    """Sum of value noise on all scales from ``down`` x ``across`` pixels to one; mean 0, H x W."""
    total, weight, weights = np.zeros(shape, np.float32), 1.0, 0.0
    while max(down, across) >= 1 or not weights:
        total += np.float32(weight) * _noise(shape, (max(down, 1), max(across, 1)), rng)
        weights += weight
        down, across, weight = down / 2, across / 2, weight * 0.6
    return total / np.float32(weights) - np.float32(0.5)
