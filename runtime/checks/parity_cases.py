"""What parity is measured on: rain images, and cases chosen to go wrong.

Max-unpooling copies a value to where the maximum was, so what decides between near-equal values is
what can differ between two computations: ties (which after a ReLU are the rule), flat areas,
saturated ones. Odd sizes exercise the padding, a batch the regions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from granet.app.console import Say
from granet.errors import UserError
from granet.size_rule import Size
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour, Pixels
from runtime.sources.pictures.source import PictureSource

DYNAMIC_SIZES: tuple[Size, ...] = ((320, 480), (97, 131), (40, 520))
"""Sizes tried on a graph that takes any: ordinary, odd, and beyond the extent of one region grid."""


CAMERA_NOISE = 1.5
"""Standard deviation in grey levels; a small camera by day."""


@dataclass(frozen=True)
class ParityCase:
    """Frames to compare on.

    Attributes:
        name: for the report.
        frames: uint8 N x H x W x 3.
        hard: chosen to go wrong, not a picture.
    """

    name: str
    frames: Pixels
    hard: bool = False


def sizes_for(fit: FrameFit, asked: Sequence[Size]) -> list[Size]:
    """The sizes at which a model is compared.

    A static graph is compared at its own size only: anywhere else padding or tiles, not the graph,
    would be what differs.

    Raises:
        UserError: if a static graph is asked for another size.
    """
    if fit.height is None or fit.width is None:
        return list(asked or DYNAMIC_SIZES)
    own = (fit.height, fit.width)
    for height, width in asked:
        if (height, width) != own:
            raise UserError(
                f"the model computes on {fit} only, not {width}x{height}: "
                "leave --size out, or export with --dynamic"
            )
    return [own]


def hard_cases(size: Size, seed: int = 0) -> Iterator[ParityCase]:
    """Ties, constant, black, white, saturated, noise, and a batch of two; uint8 at ``size``."""
    height, width = size
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (2, height, width, 3), np.uint8)
    blocks = rng.integers(0, 256, (-(-height // 2), -(-width // 2), 3), np.uint8)
    ties = blocks.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    flat = np.ones((height, width, 3), np.uint8)
    pictures = {
        "ties": ties,  # each 2x2 window is one value
        "constant": flat * 128,
        "black": flat * 0,
        "white": flat * 255,
        "saturated": np.where(noise[0] < 128, 0, 255).astype(np.uint8),
        "noise": noise[0],
    }
    for name, picture in pictures.items():
        yield ParityCase(f"{name} {width}x{height}", picture[None], hard=True)
    yield ParityCase(f"batch of 2 {width}x{height}", noise, hard=True)


def synthetic_rain(size: Size, count: int = 4, seed: int = 0) -> Iterator[ParityCase]:
    """Rain from drizzle to a shower on a drawn street, with the noise that every camera adds.

    Without noise a drawing has areas that are equal to the last bit, as no photograph has; those are
    :func:`hard_cases`.
    """
    height, width = size
    rng = np.random.default_rng(seed)
    for index, heaviness in enumerate(np.linspace(0.1, 0.4, count)):
        rain = render_rain(sample_rain(rng, float(heaviness)), height, width)
        rainy = add_rain(street(height, width, time=float(index), seed=index), rain)
        noisy = np.rint(rainy + rng.normal(0, CAMERA_NOISE, rainy.shape)).clip(0, 255).astype(np.uint8)
        yield ParityCase(f"rain {heaviness:.2f} {width}x{height}", noisy[None])


def pictures(directory: Path, colour: Colour, sizes: Sequence[Size], say: Say) -> Iterator[ParityCase]:
    """The pictures of a directory at the sizes they have, or brought to ``sizes``.

    What is brought to a size is cropped at the bottom and on the right, and reflected where it is
    too small: no resampling, which would smooth the rain away.

    Raises:
        UserError: if there are none, or one cannot be read.
    """
    for frame in PictureSource(str(directory), say).frames(colour):
        for size in sizes or [frame.pixels.shape[:2]]:
            height, width = size
            yield ParityCase(f"{frame.name} {width}x{height}", _brought_to(frame.pixels, height, width)[None])


def _brought_to(picture: Pixels, height: int, width: int) -> Pixels:
    cropped = picture[:height, :width]
    bottom, right = height - cropped.shape[0], width - cropped.shape[1]
    if not bottom and not right:
        return np.ascontiguousarray(cropped)
    return np.asarray(cv2.copyMakeBorder(cropped, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
