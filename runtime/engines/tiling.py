"""Overlapping tiles of a frame, and the cross-fade that joins their results without a seam."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runtime.media.frame import Pixels

OVERLAP = 32
"""Least overlap of neighbouring tiles in pixels; half a tile if a tile is smaller than 64 pixels."""


@dataclass(frozen=True)
class Part:
    """An interval of one side, owned by one tile or faded between two.

    Attributes:
        start: first pixel, in the frame.
        stop: the pixel after the last, in the frame.
        weights: the tile's share of each pixel, in (0, 1), ascending or descending; empty if the tile
            owns the interval.
    """

    start: int
    stop: int
    weights: tuple[float, ...] = ()

    def within(self, cut: "Cut | None" = None, channels: int = 1) -> slice:
        """The slice of the frame, or of a tile cut from it, with ``channels`` values per pixel."""
        origin = 0 if cut is None else cut.start
        return slice(channels * (self.start - origin), channels * (self.stop - origin))


@dataclass(frozen=True)
class Cut:
    """The extent of a tile along one side.

    Attributes:
        start: its first pixel in the frame.
        parts: the parts that are used, in ascending order. In an overlap the outermost pixels, which see
            the least context, are left to the neighbour; the fade lies in the middle.
    """

    start: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Tile:
    """A tile: its rows and columns in the frame, and its extent along both sides."""

    rows: slice
    columns: slice
    vertical: Cut
    horizontal: Cut


@dataclass(frozen=True)
class TileGrid:
    """All tiles of a frame, row by row; iterable.

    Attributes:
        frame: (height, width) in pixels.
        tile: (height, width) of every tile, in pixels.
        vertical: extents along the height.
        horizontal: extents along the width.
    """

    frame: tuple[int, int]
    tile: tuple[int, int]
    vertical: tuple[Cut, ...]
    horizontal: tuple[Cut, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tiles along the height and along the width."""
        return len(self.vertical), len(self.horizontal)

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.vertical) * len(self.horizontal)

    def __iter__(self) -> Iterator[Tile]:
        """Iterates row by row."""
        height, width = self.tile
        for down in self.vertical:
            for across in self.horizontal:
                rows = slice(down.start, down.start + height)
                yield Tile(rows, slice(across.start, across.start + width), down, across)

    def canvas(self, frames: int) -> "Canvas":
        """A canvas that collects the results of the tiles of ``frames`` frames."""
        return Canvas(self, frames)


class Canvas:
    """Collects tiles. Paste each tile once, then call :meth:`finish`.

    Arrays are N x H x 3W here: numpy's inner loop runs over the last axis, and an axis of three channels
    is too short.
    """

    def __init__(self, grid: TileGrid, frames: int) -> None:
        """Makes an empty canvas for ``frames`` frames."""
        height, width = grid.frame
        self._shape = (frames, height, width, 3)
        self._bands = [
            *((slice(None), slice(start, stop)) for start, stop in _fades(grid.vertical)),
            *(
                (slice(None), slice(None), slice(3 * start, 3 * stop))
                for start, stop in _fades(grid.horizontal)
            ),
        ]
        self._pixels = np.empty((frames, height, 3 * width), np.uint8)
        # The sums of the cross-fade. Only the bands are touched, so only they use physical memory.
        self._sums = np.empty(self._pixels.shape, np.float32)
        for band in self._bands:
            self._sums[band] = 0

    def paste(self, tile: Tile, pixels: Pixels) -> None:
        """Adds the result of one tile, uint8 N x h x w x 3."""
        n, height, width, channels = pixels.shape
        values = pixels.reshape(n, height, width * channels)
        for row in tile.vertical.parts:
            for column in tile.horizontal.parts:
                source = (slice(None), row.within(tile.vertical), column.within(tile.horizontal, channels))
                target = (slice(None), row.within(), column.within(None, channels))
                if row.weights or column.weights:
                    self._sums[target] += values[source] * _weights(row.weights, column.weights)
                else:
                    self._pixels[target] = values[source]

    def finish(self) -> Pixels:
        """Returns the joined frames, uint8 N x H x W x 3; faded values are rounded to the nearest level."""
        for band in self._bands:
            sums = self._sums[band]
            self._pixels[band] = np.rint(sums, out=sums)
        return self._pixels.reshape(self._shape)


def tile_grid(frame: tuple[int, int], tile: tuple[int, int]) -> TileGrid:
    """The fewest evenly spaced tiles that cover ``frame`` and overlap by :data:`OVERLAP`.

    Args:
        frame: (height, width) in pixels, each at least that of the tile.
        tile: (height, width) in pixels.
    """
    return TileGrid(frame, tile, _cuts(frame[0], tile[0]), _cuts(frame[1], tile[1]))


def _cuts(side: int, tile: int) -> tuple[Cut, ...]:
    overlap = min(OVERLAP, tile // 2)
    steps = -(-(side - tile) // (tile - overlap))
    starts = [round(i * (side - tile) / steps) if steps else 0 for i in range(steps + 1)]
    # Fades are no wider than the steps, so that a pixel never belongs to three tiles.
    width = min([overlap, *(b - a for a, b in pairwise(starts))])
    fades = [(b + a + tile - width) // 2 for a, b in pairwise(starts)]
    return tuple(
        Cut(start, _parts(fades[i - 1] if i else None, fades[i] if i < steps else None, side, width))
        for i, start in enumerate(starts)
    )


def _parts(fade_in: int | None, fade_out: int | None, side: int, width: int) -> tuple[Part, ...]:
    """The parts of a tile whose fades of ``width`` pixels start at ``fade_in`` and ``fade_out``."""
    ramp = tuple((i + 1) / (width + 1) for i in range(width))
    first = 0 if fade_in is None else fade_in + width
    last = side if fade_out is None else fade_out
    parts = [] if fade_in is None else [Part(fade_in, first, ramp)]
    if first < last:
        parts.append(Part(first, last))
    if fade_out is not None:
        parts.append(Part(last, last + width, ramp[::-1]))
    return tuple(parts)


@lru_cache(maxsize=256)
def _weights(rows: tuple[float, ...], columns: tuple[float, ...]) -> NDArray[np.float32]:
    """Weights of shape h x 3w, or h x 1 or 1 x 3w if one side is not faded."""
    down = np.asarray(rows or (1.0,), np.float32)[:, None]
    across = np.repeat(np.asarray(columns, np.float32), 3) if columns else np.ones(1, np.float32)
    weights: NDArray[np.float32] = down * across
    return weights


def _fades(cuts: tuple[Cut, ...]) -> Iterator[tuple[int, int]]:
    """Start and stop of the fades between neighbouring tiles, in pixels of the frame."""
    for cut in cuts[:-1]:
        yield cut.parts[-1].start, cut.parts[-1].stop
