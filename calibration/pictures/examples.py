"""Rain pictures that a quantised model is judged on, with ground truth if available."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration.pictures.selection import fitted
from calibration.pictures.sets import DirectoryPictures
from granet.app.console import say
from granet.data.datasets import open_dataset
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity_cases import hard_cases, synthetic_rain
from runtime.media.frame import Pixels

LARGEST: Size = (480, 480)
"""(height, width) that pictures are cropped to for a dynamic graph: enough to judge by, and fast."""

DRAWN_SIZE: Size = (160, 240)
"""(height, width) of synthetic rain for a dynamic graph."""


@dataclass(frozen=True)
class Example:
    """A picture to judge by.

    Attributes:
        name: name in reports.
        rainy: uint8 H x W x 3, RGB, of a size that the model takes.
        truth: the same picture without rain; ``None`` if unknown.
    """

    name: str
    rainy: Pixels
    truth: Pixels | None = None


def load_examples(
    metadata: ModelMetadata, data: str | None, images: Path | None, count: int
) -> list[Example]:
    """Loads up to ``count`` pictures, evenly spread over the source, at sizes that the model takes.

    Args:
        metadata: metadata of the model.
        data: a data set for :func:`granet.data.datasets.open_dataset`, split ``train``.
        images: directory or pattern of rain pictures without ground truth. Without ``data`` and ``images``,
            rain is synthesised.
        count: most pictures to load.

    Raises:
        UserError: if there are no pictures, or one cannot be read.
    """
    if data is not None and images is not None:
        raise UserError("--data and --images cannot be combined: use one of them")
    found = list(_read(metadata, data, images, count))
    return [_sized(example, metadata) for example in found]


def load_hard(metadata: ModelMetadata) -> list[Example]:
    """Makes the hard cases: ties, flat areas, black, white, saturation, noise."""
    size = _own_size(metadata) or DRAWN_SIZE
    return [Example(case.name, case.frames[0]) for case in hard_cases(size) if len(case.frames) == 1]


def _read(metadata: ModelMetadata, data: str | None, images: Path | None, count: int) -> Iterator[Example]:
    if data is not None:
        dataset = open_dataset(data, "train")
        for index in _spread(len(dataset), count):
            pair = dataset.read(index)
            yield Example(pair.name, pair.rainy, pair.clean)
    elif images is not None:
        pictures = DirectoryPictures(str(images), say)
        for _, name, pixels in pictures.read(_spread(len(pictures), count)):
            yield Example(Path(name).stem, pixels)
    else:
        size = _own_size(metadata) or DRAWN_SIZE
        for case in synthetic_rain(size, count):
            yield Example(case.name, case.frames[0])


def _spread(total: int, count: int) -> list[int]:
    return sorted({int(place) for place in np.linspace(0, total - 1, min(count, total))})


def _own_size(metadata: ModelMetadata) -> Size | None:
    if metadata.height is None or metadata.width is None:
        return None
    return metadata.height, metadata.width


def _sized(example: Example, metadata: ModelMetadata) -> Example:
    """Crops an example at its centre, or reflects it at the bottom and on the right if it is too small."""
    own = _own_size(metadata)
    cut = [
        None if pixels is None else fitted(pixels, own or LARGEST)
        for pixels in (example.rainy, example.truth)
    ]
    assert cut[0] is not None  # for the type checker: a rainy picture always exists
    height, width = own or metadata.size_rule.padded_size(*cut[0].shape[:2])
    rainy, truth = (None if pixels is None else _reflected(pixels, height, width) for pixels in cut)
    assert rainy is not None
    return Example(example.name, rainy, truth)


def _reflected(pixels: Pixels, height: int, width: int) -> Pixels:
    bottom, right = height - pixels.shape[0], width - pixels.shape[1]
    if not bottom and not right:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
