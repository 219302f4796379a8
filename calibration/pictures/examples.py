"""Rain pictures that a quantised model is judged on, with the truth where there is one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration.pictures.selection import fitted
from granet.data.datasets import open_dataset
from granet.data.image_files import list_pictures, read_rgb
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity_cases import hard_cases, synthetic_rain
from runtime.media.frame import Pixels

LARGEST: Size = (480, 480)
"""What of a picture is shown to a graph of any size: enough to judge by, and quick."""

DRAWN_SIZE: Size = (160, 240)
"""Of drawn rain for a graph of any size."""


@dataclass(frozen=True)
class Example:
    """A picture.

    Attributes:
        name: for reports.
        rainy: uint8 H x W x 3, RGB, of a size that the model computes on.
        truth: the same without rain; ``None`` where nobody knows it.
    """

    name: str
    rainy: Pixels
    truth: Pixels | None = None


def load_examples(
    metadata: ModelMetadata, data: str | None, images: Path | None, count: int
) -> list[Example]:
    """``count`` pictures, spread evenly over what is given, at sizes that the model computes on.

    Args:
        metadata: of the model.
        data: a data set of :func:`granet.data.datasets.open_dataset`, split ``train``.
        images: directory of rain pictures without truth. With neither, rain is drawn.
        count: how many at most.

    Raises:
        UserError: if there are none, or one cannot be read.
    """
    if data is not None and images is not None:
        raise UserError("--data and --images: give one of them")
    found = list(_read(metadata, data, images, count))
    return [_sized(example, metadata) for example in found]


def load_hard(metadata: ModelMetadata) -> list[Example]:
    """Cases chosen to go wrong: ties, flat areas, black, white, saturation, noise."""
    size = _own_size(metadata) or DRAWN_SIZE
    return [Example(case.name, case.frames[0]) for case in hard_cases(size) if len(case.frames) == 1]


def _read(metadata: ModelMetadata, data: str | None, images: Path | None, count: int) -> Iterator[Example]:
    if data is not None:
        dataset = open_dataset(data, "train")
        for index in _spread(len(dataset), count):
            pair = dataset.read(index)
            yield Example(pair.name, pair.rainy, pair.clean)
    elif images is not None:
        paths = list_pictures(str(images))
        for index in _spread(len(paths), count):
            yield Example(paths[index].stem, read_rgb(paths[index]))
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
    """The middle of it, reflected at the bottom and on the right where it is too small."""
    own = _own_size(metadata)
    cut = [
        None if pixels is None else fitted(pixels, own or LARGEST)
        for pixels in (example.rainy, example.truth)
    ]
    assert cut[0] is not None  # for the type checker: there always is a rainy picture
    height, width = own or metadata.size_rule.padded_size(*cut[0].shape[:2])
    rainy, truth = (None if pixels is None else _reflected(pixels, height, width) for pixels in cut)
    assert rainy is not None
    return Example(example.name, rainy, truth)


def _reflected(pixels: Pixels, height: int, width: int) -> Pixels:
    bottom, right = height - pixels.shape[0], width - pixels.shape[1]
    if not bottom and not right:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
