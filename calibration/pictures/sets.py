"""Sources of rain pictures: a directory, a video, a data set, or synthetic rain on clean pictures.

A set can be read repeatedly, one picture at a time: first all pictures are measured, then the model runs
on the chosen ones. So memory does not grow with their number.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from granet.app.console import Say
from granet.data.datasets import Dataset, open_dataset
from granet.errors import UserError
from granet.size_rule import Size
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.checks.parity_cases import CAMERA_NOISE
from runtime.media.frame import Pixels
from runtime.sources.pictures.read import read_picture
from runtime.sources.pictures.source import PictureSource
from runtime.sources.video.source import VideoSource

RAINS_A_PICTURE = 4
"""Most rainy versions of one clean picture, if there are fewer pictures than requested."""

A_STREET = 16
"""Pictures per synthetic street; drawing another street takes longer than moving along one."""

HEAVINESS = (0.1, 0.6)
"""Range of the heaviness of synthetic rain, from drizzle to a shower."""

CANDIDATES = 2
"""Frames of a video to measure for each frame to choose."""


class PictureSet(ABC):
    """A set of pictures, numbered from 0.

    Attributes:
        source: where they come from, for people; only the last part of a path.
        total: approximate number of pictures, for the progress line; ``None`` if unknown.
    """

    source: str
    total: int | None

    @abstractmethod
    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """Reads the pictures in order; may be called repeatedly.

        Args:
            wanted: numbers of the pictures to read; ``None`` for all.

        Yields:
            (number, name, pixels): pixels are uint8 H x W x 3, RGB.

        Raises:
            UserError: if a picture cannot be read.
        """


class DirectoryPictures(PictureSet):
    """The pictures of a directory, as ``granet-run --input`` reads them."""

    def __init__(self, text: str, say: Say) -> None:
        """Lists the pictures.

        Raises:
            UserError: if there are none.
        """
        info = PictureSource(text, say).info
        self._paths, self._names, self._say = info.paths, info.names, say
        self.source = f"images {Path(text).name}"
        self.total = len(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """See :meth:`PictureSet.read`."""
        for index in _numbers(len(self._paths), wanted):
            name = self._names[index]
            yield index, name, read_picture(self._paths[index], "rgb", index, name, self._say).pixels


class VideoPictures(PictureSet):
    """Frames of a video, evenly spread over its length."""

    def __init__(self, text: str, count: int, say: Say) -> None:
        """Opens a video to choose ``count`` frames from.

        Raises:
            UserError: if it is not a video, or cannot be read twice.
        """
        again = f"{text}: must be read twice: record it to a file first (granet-run --output)"
        if text == "-":
            raise UserError(again)
        with VideoSource(text, say) as source:
            info = source.info
        if info.live:
            raise UserError(again)
        self._text, self._say = text, say
        self._step = max(1, (info.frames or 0) // (CANDIDATES * count))
        self.source = f"video {Path(text).name}"
        self.total = None if info.frames is None else -(-info.frames // self._step)

    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """See :meth:`PictureSet.read`."""
        name = Path(self._text).name
        with VideoSource(self._text, self._say) as source:
            for frame in source.frames("rgb"):
                number, left = divmod(frame.index, self._step)
                if left == 0 and (wanted is None or number in wanted):
                    yield number, f"{name}#{frame.index}", frame.pixels


class DatasetPictures(PictureSet):
    """The rainy pictures of a data set."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.source = f"data set {dataset.title}"
        self.total = len(dataset)

    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """See :meth:`PictureSet.read`."""
        for index in _numbers(len(self._dataset), wanted):
            pair = self._dataset.read(index)
            yield index, pair.name, pair.rainy


class SynthesisedPictures(PictureSet):
    """Rain of :mod:`granet.synthetic.rain`, light to heavy, on the clean pictures of a directory."""

    def __init__(self, directory: str, count: int, seed: int) -> None:
        """Opens a directory to make at least ``count`` rainy pictures from, if it has enough.

        Raises:
            UserError: if there are no pictures.
        """
        self._dataset = open_dataset(f"synthetic:{directory}?split=all", "test")
        self._seed = seed
        self.source = f"rain with seed {seed} on {Path(directory).name}"
        pictures = len(self._dataset)
        self.total = pictures * min(RAINS_A_PICTURE, -(-count // pictures))

    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """See :meth:`PictureSet.read`."""
        for index in _numbers(self.total or 0, wanted):
            rain, picture = divmod(index, len(self._dataset))
            pair = self._dataset.read(picture, draw=self._seed * RAINS_A_PICTURE + rain)
            yield index, f"{pair.name}#{rain}", pair.rainy


class DrawnPictures(PictureSet):
    """Synthetic rain on synthetic streets, with camera noise; replaces the user's pictures."""

    def __init__(self, size: Size, count: int) -> None:
        """``size``: (height, width) in pixels."""
        self._size = size
        self.source = f"{count} synthetic pictures of rain"
        self.total = count

    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """See :meth:`PictureSet.read`."""
        for index in _numbers(self.total or 0, wanted):
            yield index, f"synthetic {index}", self._draw(index)

    def _draw(self, index: int) -> Pixels:
        height, width = self._size
        rng = np.random.default_rng(index)
        rain = render_rain(sample_rain(rng, float(rng.uniform(*HEAVINESS))), height, width)
        rainy = add_rain(street(height, width, time=float(index), seed=index // A_STREET), rain)
        noisy = rainy + rng.normal(0, CAMERA_NOISE, rainy.shape)
        return np.rint(noisy).clip(0, 255).astype(np.uint8)


def _numbers(total: int, wanted: Collection[int] | None) -> list[int]:
    return [number for number in range(total) if wanted is None or number in wanted]
