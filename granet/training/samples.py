"""Training pictures: which comes when, cut, flipped, now and then dry. A pure function of seed and number.

Sample number n is the same whatever process, batch or worker asks for it, so a training resumes without
any iterator's state, with any number of processes.
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
"""Of the pictures that are mirrored left to right (section 4.3)."""


@dataclass(frozen=True)
class Cutting:
    """What is made of a pair of pictures.

    Attributes:
        crop: sides of the random squares, in pixels; ``None`` for whole pictures. Several share the
            epochs equally, in their order.
        epochs: of the whole training, which several sides share.
        long_side: whole pictures are shrunk to it, in pixels (section 4.3).
        dry: share of the samples that are clean pictures as their own input.
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

    Of each epoch a data set has the same share, its pictures taken in turn: none comes again before all
    others of its set have come. With shares by size and the default length an epoch is every picture once.

    Args:
        datasets: at least one, of the training split.
        weights: their shares of the samples, to any sum; by size if ``None``.
        seed: of order, cuts, flips and rain.
        cutting: what is made of a pair.
        epoch_size: samples; as many as there are pictures if ``None``.
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

    def batch(self, first: int, count: int) -> tuple[Pixels, Pixels]:
        """Samples ``first`` to ``first + count - 1``: rainy and clean, uint8 N x H x W x 3, RGB.

        Raises:
            UserError: if a picture cannot be read.
        """
        pairs = [self.sample(first + i) for i in range(count)]
        return np.stack([pair.rainy for pair in pairs]), np.stack([pair.clean for pair in pairs])

    def sample(self, number: int) -> Pair:
        """Sample ``number``, counted from the start of the training.

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
        """Crops filled up by reflection where the picture was too small; whole pictures shrunk."""
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
        """What an epoch takes of the endless sequence of one data set's permutations: count x 2."""
        count, length = self._counts[which], len(self._datasets[which])
        start, end = epoch * count, (epoch + 1) * count
        turns = [
            np.random.default_rng((self._seed, _TURN, which, turn)).permutation(length)
            for turn in range(start // length, -(-end // length))
        ]
        indices = np.concatenate([*turns, np.empty(0, np.int64)])[start % length :][:count]
        return np.stack([np.full(count, which), indices], axis=1)


def _span(length: int, where: float, crop: int | None) -> slice:
    """A part of ``crop`` pixels, or all, of ``length``; ``where`` from 0 to 1."""
    size = min(crop or length, length)
    start = int(where * (length - size + 1))
    return slice(start, start + size)


_SAMPLE, _ORDER, _TURN = 0, 1, 2
"""What a random number is for: equal seeds give each of them numbers of its own."""


def _apportion(total: int, weights: Sequence[float]) -> list[int]:
    """``total`` split in proportion to ``weights``, by largest remainders."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
