"""How frames of any size reach a graph that computes on some sizes only, and come back.

The one piece of code for it: every engine runs its frames through a :class:`FittingPlan`. In each
dimension one of three things happens, in this order of preference:

1. the graph takes the side as it is: nothing is copied;
2. the side is padded at its end by reflection (without repeating the edge, PyTorch's ``reflect``)
   to the size rule of the network or to the side of a static graph, and cropped after;
3. a static graph is shorter than the side: overlapping tiles of the graph's side, evenly spaced,
   are cross-faded.

A static batch is filled by repeating the last frame. The plan says in one line which of it happens,
because 2 and 3 can cost a multiple of the time that a graph of the right size would take.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from granet.size_rule import SizeRule
from runtime.engines.tiling import Tile, TileGrid, tile_grid
from runtime.media.frame import Pixels

Infer = Callable[[Pixels], Pixels]
"""uint8 n x h x w x 3, C-contiguous, of a size the graph takes -> a new array of the same shape."""

WASTE = 1.5
"""A static graph this many times the pixels that the frame needs is worth a hint to the user."""


@dataclass(frozen=True)
class FrameFit:
    """The frame sizes that a graph computes on.

    Attributes:
        rule: padding rule of the network; it governs the dynamic dimensions.
        height: pixels of a static graph; ``None`` if dynamic.
        width: pixels of a static graph; ``None`` if dynamic.
        batch: frames of a static graph; ``None`` if dynamic.
    """

    rule: SizeRule
    height: int | None = None
    width: int | None = None
    batch: int | None = None

    def plan(self, height: int, width: int) -> "FittingPlan":
        """The way of ``height`` x ``width`` frames to the graph and back; cached.

        Raises:
            UserError: if a side is below 16 pixels, the least that the network takes.
        """
        return _plan(self, height, width)

    def __str__(self) -> str:
        """The sizes, for people: ``480x320``, ``any size``, ``480x320, batches of 2``."""
        sides = f"{self.width or 'any'}x{self.height or 'any'}" if self.width or self.height else "any size"
        return f"{sides}, batches of {self.batch}" if self.batch is not None and self.batch > 1 else sides


@dataclass(frozen=True)
class FittingPlan:
    """What is done to frames of one size; made by :meth:`FrameFit.plan`.

    Attributes:
        frame: (height, width) of the frames, in pixels.
        padded: (height, width) after padding; at least ``frame``.
        tiles: the cuts of the padded frame; one tile if the graph takes all of it.
        batch: frames of one call of the graph; ``None`` if it takes any number.
        description: one line for people, to stand after "frames go through the graph ...".
    """

    frame: tuple[int, int]
    padded: tuple[int, int]
    tiles: TileGrid
    batch: int | None
    description: str

    def run(self, frames: Pixels, infer: Infer) -> Pixels:
        """Pads or cuts ``frames``, runs ``infer`` and undoes it.

        Args:
            frames: uint8 N x H x W x 3 with H x W as :attr:`frame` says; any strides. Not modified.
            infer: the graph.

        Returns:
            uint8 N x H x W x 3, C-contiguous. Where the graph takes the frames as they are, it is
            the very array that ``infer`` returned, and a contiguous ``frames`` is what it was given.
        """
        if self.padded == self.frame:
            return np.ascontiguousarray(self._run_padded(frames, infer))
        height, width = self.frame
        result = self._run_padded(_pad(frames, self.padded), infer)
        return np.ascontiguousarray(result[:, :height, :width])

    def _run_padded(self, frames: Pixels, infer: Infer) -> Pixels:
        if len(self.tiles) > 1:
            return self._run_tiles(frames, infer)
        return self._run_batches(np.ascontiguousarray(frames), infer)

    def _run_tiles(self, frames: Pixels, infer: Infer) -> Pixels:
        """One call of the graph for each place, or, to fill a static batch, for several places."""
        n = len(frames)
        canvas = self.tiles.canvas(n)
        for places in self._places_at_once(n):
            stack = np.concatenate([frames[:, tile.rows, tile.columns] for tile in places])
            results = self._run_batches(stack, infer)
            for i, tile in enumerate(places):
                canvas.paste(tile, results[i * n : (i + 1) * n])
        return canvas.finish()

    def _places_at_once(self, n: int) -> Iterator[list[Tile]]:
        at_once = max(1, (self.batch or 1) // n)
        tiles = list(self.tiles)
        for start in range(0, len(tiles), at_once):
            yield tiles[start : start + at_once]

    def _run_batches(self, frames: Pixels, infer: Infer) -> Pixels:
        """C-contiguous frames of the graph's size, in the groups that its batch allows."""
        n = len(frames)
        if self.batch is None or self.batch == n:
            return infer(frames)
        results = np.empty_like(frames)
        for start in range(0, n, self.batch):
            group = frames[start : start + self.batch]
            filled = np.concatenate([group, np.repeat(group[-1:], self.batch - len(group), axis=0)])
            results[start : start + len(group)] = infer(filled)[: len(group)]
        return results


def _pad(frames: Pixels, padded: tuple[int, int]) -> Pixels:
    """Reflects N x H x W x 3 at the bottom and on the right, as often as the padded size needs it."""
    n, height, width, channels = frames.shape
    result = np.empty((n, *padded, channels), np.uint8)
    for frame, target in zip(frames, result, strict=True):
        source = np.ascontiguousarray(frame)
        bottom, right = padded[0] - height, padded[1] - width
        cv2.copyMakeBorder(source, 0, bottom, 0, right, cv2.BORDER_REFLECT_101, dst=target)
    return result


@lru_cache(maxsize=64)
def _plan(fit: FrameFit, height: int, width: int) -> FittingPlan:
    needed = fit.rule.padded_size(height, width)
    padded = (
        needed[0] if fit.height is None else max(fit.height, height),
        needed[1] if fit.width is None else max(fit.width, width),
    )
    tiles = tile_grid(padded, (fit.height or padded[0], fit.width or padded[1]))
    description = _describe((height, width), needed, padded, tiles)
    return FittingPlan((height, width), padded, tiles, fit.batch, description)


def _describe(
    frame: tuple[int, int], needed: tuple[int, int], padded: tuple[int, int], tiles: TileGrid
) -> str:
    parts = []
    if padded != frame:
        parts.append(f"padded to {padded[1]}x{padded[0]}")
    if len(tiles) > 1:
        rows, columns = tiles.shape
        height, width = tiles.tile
        parts.append(f"in {columns}x{rows} overlapping tiles of {width}x{height}")
    computed = len(tiles) * tiles.tile[0] * tiles.tile[1]
    if len(tiles) > 1 or computed > WASTE * needed[0] * needed[1]:
        return f"{', '.join(parts)}; export with --size {frame[1]}x{frame[0]} for full speed"
    return ", ".join(parts) or "as they are"
