"""Training samples: order, crops, flips and dry pictures, as a pure function of the seed and a number.

Sample n does not depend on the process, batch or worker that asks for it. So a training resumes without the
state of an iterator, with any number of processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from granet.data.datasets import Dataset, Pair
from granet.data.image_files import Pixels

FLIP_SHARE = 0.5
"""Share of the pictures that are mirrored left to right (section 4.3)."""


@dataclass(frozen=True)
class Cutting:
    """How pairs of pictures become samples.

    Attributes:
        crop: sides of the random squares, in pixels; ``None`` for whole pictures. Several sizes divide the
            epochs equally, in their order.
        epochs: epochs of the whole training, which several sizes divide among them.
        long_side: longest side, in pixels, that whole pictures are shrunk to (section 4.3).
        dry: share of samples without rain, whose input is the clean picture.
    """

    crop: tuple[int, ...] | None = None
    long_side: int = 512
    dry: float = 0.0
    epochs: int = 1

    def side(self, epoch: int) -> int | None:
        """Side of the squares of an epoch, counted from 0; ``None`` for whole pictures."""
        if self.crop is None:
            return None
        return self.crop[min(epoch * len(self.crop) // self.epochs, len(self.crop) - 1)]


class TrainingData:
    """All data sets of a training as one endless sequence of samples, in epochs.

    A data set has the same share of every epoch. Its pictures take turns: none repeats before all others of
    its set have been used. With shares by size and the default length, an epoch is every picture once.

    Args:
        datasets: at least one data set, of the training split.
        weights: shares of the data sets, with any sum; proportional to their sizes if ``None``.
        seed: random seed for order, crops, flips and rain.
        cutting: how pairs become samples.
        epoch_size: samples per epoch; the number of pictures if ``None``.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        weights: Sequence[float] | None,
        seed: int,
        cutting: Cutting,
        epoch_size: int | None = None,
    ) -> None:
        self._datasets = datasets
        self._seed = seed
        self._cutting = cutting
        self.epoch_size = epoch_size or sum(len(dataset) for dataset in datasets)
        sizes = [float(len(dataset)) for dataset in datasets]
        self._counts = _apportion(self.epoch_size, weights or sizes)
        self._order = lru_cache(maxsize=2)(self._make_order)

    @property
    def unused(self) -> list[Dataset]:
        """The data sets whose share of an epoch is less than a sample: no epoch has one of theirs."""
        return [dataset for dataset, count in zip(self._datasets, self._counts, strict=True) if not count]

    def batch(self, first: int, count: int) -> tuple[Pixels, Pixels]:
        """Reads samples ``first`` to ``first + count - 1``: rainy and clean, uint8 N x H x W x 3, RGB.

        Raises:
            UserError: if a picture cannot be read.
        """
        pairs = [self.sample(first + i) for i in range(count)]
        return np.stack([pair.rainy for pair in pairs]), np.stack([pair.clean for pair in pairs])

    def sample(self, number: int) -> Pair:
        """Reads sample ``number``, counted from the start of the training.

        Raises:
            UserError: if its picture cannot be read.
        """
        epoch = number // self.epoch_size
        which, index = self._order(epoch)[number % self.epoch_size]
        side = self._cutting.side(epoch)
        rng = np.random.default_rng((self._seed, _SAMPLE, number))
        draw, flip, dry = (
            int(rng.integers(2**31)),
            rng.random() < FLIP_SHARE,
            rng.random() < self._cutting.dry,
        )
        down, right = rng.random(2)

        def cut(height: int, width: int) -> tuple[slice, slice]:
            return _span(height, down, side), _span(width, right, side)

        pair = self._datasets[which].read_cut(index, draw, cut)
        rainy, clean = (self._fitted(pixels, side) for pixels in (pair.rainy, pair.clean))
        rainy = clean if dry else rainy
        if flip:
            rainy, clean = rainy[:, ::-1], clean[:, ::-1]
        return Pair(pair.name, np.ascontiguousarray(rainy), np.ascontiguousarray(clean))

    def _fitted(self, pixels: Pixels, side: int | None) -> Pixels:
        """Pads crops of small pictures by reflection and shrinks whole pictures."""
        height, width = pixels.shape[:2]
        if side is not None:
            down, right = side - height, side - width
            if not (down or right):
                return pixels
            padded = cv2.copyMakeBorder(pixels, 0, down, 0, right, cv2.BORDER_REFLECT_101)
            return np.asarray(padded, np.uint8)
        scale = self._cutting.long_side / max(height, width)
        if scale >= 1:
            return pixels
        size = round(width * scale), round(height * scale)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _make_order(self, epoch: int) -> NDArray[np.int64]:
        """(data set, picture) of each sample of an epoch: epoch_size x 2."""
        parts = [self._turns(which, epoch) for which in range(len(self._datasets))]
        order = np.concatenate(parts)
        return np.random.default_rng((self._seed, _ORDER, epoch)).permutation(order)

    def _turns(self, which: int, epoch: int) -> NDArray[np.int64]:
        """The part of an epoch in the endless sequence of one data set's permutations: count x 2."""
        count, length = self._counts[which], len(self._datasets[which])
        start, end = epoch * count, (epoch + 1) * count
        turns = [
            np.random.default_rng((self._seed, _TURN, which, turn)).permutation(length)
            for turn in range(start // length, -(-end // length))
        ]
        indices = np.concatenate([*turns, np.empty(0, np.int64)])[start % length :][:count]
        return np.stack([np.full(count, which), indices], axis=1)


def _span(length: int, where: float, crop: int | None) -> slice:
    """A part of ``crop`` pixels of ``length``, or all of it; ``where`` is its position from 0 to 1."""
    size = min(crop or length, length)
    start = int(where * (length - size + 1))
    return slice(start, start + size)


_SAMPLE, _ORDER, _TURN = 0, 1, 2
"""Purposes of random numbers: each gets a sequence of its own from the same seed."""


def _apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Splits ``total`` in proportion to ``weights``, by largest remainders."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
