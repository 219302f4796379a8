"""Fits frames of any size to a graph that computes only on some sizes, by padding and tiling.

Every engine runs its frames through a :class:`FittingPlan`; no other code does this. In each dimension
one of three cases applies, in this order of preference:

1. the graph takes the side as it is: nothing is copied;
2. the side is padded at its end by reflection (without repeating the edge, PyTorch's ``reflect``)
   to the size rule of the network or to the side of a static graph, and cropped afterwards;
3. a static graph is shorter than the side: overlapping, evenly spaced tiles of the graph's side
   are cross-faded.

A static batch is filled by repeating the last frame. The plan states in one line which case applies,
because 2 and 3 can take several times as long as a graph of the right size. A graph may return several
pictures per frame; all of them are fitted back in one pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from granet.size_rule import SizeRule
from runtime.engines.tiling import Canvas, Tile, TileGrid, tile_grid
from runtime.media.frame import Pixels

Infer = Callable[[Pixels], Sequence[Pixels]]
"""uint8 n x h x w x 3, C-contiguous, of a size the graph takes -> its outputs: one or more new arrays of
the same shape, as many in every call."""

WASTE = 1.5
"""If a static graph computes this many times the pixels that the frame needs, the user gets a hint."""


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
        """How frames of ``height`` x ``width`` pixels are fitted to the graph; cached.

        Raises:
            UserError: if a side is below 16 pixels, the minimum of the network.
        """
        return _plan(self, height, width)

    def __str__(self) -> str:
        """The sizes, for people: ``480x320``, ``any size``, ``480x320, batches of 2``."""
        sides = f"{self.width or 'any'}x{self.height or 'any'}" if self.width or self.height else "any size"
        return f"{sides}, batches of {self.batch}" if self.batch is not None and self.batch > 1 else sides


@dataclass(frozen=True)
class FittingPlan:
    """How frames of one size are fitted to a graph; made by :meth:`FrameFit.plan`.

    Attributes:
        frame: (height, width) of the frames, in pixels.
        padded: (height, width) after padding; at least ``frame``.
        tiles: the tiles of the padded frame; one tile if the graph takes all of it.
        batch: frames per call of the graph; ``None`` if it takes any number.
        description: one line for people, which completes "frames go through the graph ...".
    """

    frame: tuple[int, int]
    padded: tuple[int, int]
    tiles: TileGrid
    batch: int | None
    description: str

    @property
    def as_they_are(self) -> bool:
        """Whether the graph takes the frames without padding or tiling."""
        return self.padded == self.frame and len(self.tiles) == 1

    def run(self, frames: Pixels, infer: Infer) -> tuple[Pixels, ...]:
        """Pads or tiles ``frames``, runs ``infer`` and fits the outputs back.

        Args:
            frames: uint8 N x H x W x 3 with H x W equal to :attr:`frame`; any strides. Not modified.
            infer: the graph.

        Returns:
            The outputs of ``infer``, each uint8 N x H x W x 3, C-contiguous. If the graph takes the
            frames as they are, a contiguous ``frames`` is passed to ``infer`` without a copy, and its
            outputs are returned without a copy.
        """
        if self.padded == self.frame:
            return tuple(np.ascontiguousarray(output) for output in self._run_padded(frames, infer))
        height, width = self.frame
        outputs = self._run_padded(_pad(frames, self.padded), infer)
        return tuple(np.ascontiguousarray(output[:, :height, :width]) for output in outputs)

    def _run_padded(self, frames: Pixels, infer: Infer) -> Sequence[Pixels]:
        if len(self.tiles) > 1:
            return self._run_tiles(frames, infer)
        return self._run_batches(np.ascontiguousarray(frames), infer)

    def _run_tiles(self, frames: Pixels, infer: Infer) -> Sequence[Pixels]:
        """Runs the graph once per tile, or once for several tiles to fill a static batch."""
        n = len(frames)
        canvases: list[Canvas] = []
        for places in self._places_at_once(n):
            stack = np.concatenate([frames[:, tile.rows, tile.columns] for tile in places])
            outputs = self._run_batches(stack, infer)
            canvases = canvases or [self.tiles.canvas(n) for _ in outputs]
            for canvas, output in zip(canvases, outputs, strict=True):
                for i, tile in enumerate(places):
                    canvas.paste(tile, output[i * n : (i + 1) * n])
        return [canvas.finish() for canvas in canvases]

    def _places_at_once(self, n: int) -> Iterator[list[Tile]]:
        at_once = max(1, (self.batch or 1) // n)
        tiles = list(self.tiles)
        for start in range(0, len(tiles), at_once):
            yield tiles[start : start + at_once]

    def _run_batches(self, frames: Pixels, infer: Infer) -> Sequence[Pixels]:
        """Runs C-contiguous frames of the graph's size in groups of its batch size."""
        n = len(frames)
        if self.batch is None or self.batch == n:
            return infer(frames)
        results: list[Pixels] = []
        for start in range(0, n, self.batch):
            group = frames[start : start + self.batch]
            filled = np.concatenate([group, np.repeat(group[-1:], self.batch - len(group), axis=0)])
            outputs = infer(filled)
            results = results or [np.empty_like(frames) for _ in outputs]
            for result, output in zip(results, outputs, strict=True):
                result[start : start + len(group)] = output[: len(group)]
        return results


def _pad(frames: Pixels, padded: tuple[int, int]) -> Pixels:
    """Reflects N x H x W x 3 at the bottom and on the right, repeatedly if the padded size needs it."""
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
