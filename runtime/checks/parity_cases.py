"""The cases that parity is measured on: rain images and hard cases.

Max-unpooling copies a value to the position of the maximum, so two computations can differ where values
are nearly equal: ties (common after a ReLU), flat areas and saturated areas. Odd sizes exercise the
padding, a batch the regions.
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
"""Sizes for a dynamic graph: ordinary, odd, and larger than one region grid."""


CAMERA_NOISE = 1.5
"""Standard deviation of the noise in grey levels, as of a small camera by day."""


@dataclass(frozen=True)
class ParityCase:
    """Frames to compare two engines on.

    Attributes:
        name: name in the report.
        frames: uint8 N x H x W x 3.
        hard: whether this is a hard case, not a picture.
    """

    name: str
    frames: Pixels
    hard: bool = False


def sizes_for(fit: FrameFit, asked: Sequence[Size]) -> list[Size]:
    """The sizes at which a model is compared.

    A static graph is compared only at its own size: at any other, padding or tiles would differ, not the
    graph.

    Raises:
        UserError: if another size is requested for a static graph.
    """
    if fit.height is None or fit.width is None:
        # A network whose multiple is more than 40 pixels takes no frame as low as the last.
        least = fit.rule.multiple
        return list(asked or [(max(height, least), max(width, least)) for height, width in DYNAMIC_SIZES])
    own = (fit.height, fit.width)
    for height, width in asked:
        if (height, width) != own:
            raise UserError(
                f"the model takes only {fit}, not {width}x{height}: omit --size, or export with --dynamic"
            )
    return [own]


def built_in_cases(fit: FrameFit, asked: Sequence[Size] = (), count: int = 8) -> Iterator[ParityCase]:
    """Yields :func:`synthetic_rain` (``count`` pictures) at each of :func:`sizes_for`, then the hard cases.

    Raises:
        UserError: see :func:`sizes_for`.
    """
    sizes = sizes_for(fit, asked)
    for size in sizes:
        yield from synthetic_rain(size, count=count)
    for size in sizes:
        yield from hard_cases(size)


def hard_cases(size: Size, seed: int = 0) -> Iterator[ParityCase]:
    """Yields ties, constant, black, white, saturated, noise, and a batch of two; uint8 at ``size``."""
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
    """Yields rain from drizzle to a shower on a drawn street, with camera noise.

    Without noise a drawing has areas of exactly equal values, unlike any photograph; :func:`hard_cases`
    covers those.
    """
    height, width = size
    rng = np.random.default_rng(seed)
    for index, heaviness in enumerate(np.linspace(0.1, 0.4, count)):
        rain = render_rain(sample_rain(rng, float(heaviness)), height, width)
        rainy = add_rain(street(height, width, time=float(index), seed=index), rain)
        noisy = np.rint(rainy + rng.normal(0, CAMERA_NOISE, rainy.shape)).clip(0, 255).astype(np.uint8)
        yield ParityCase(f"rain {heaviness:.2f} {width}x{height}", noisy[None])


def pictures(directory: Path, colour: Colour, sizes: Sequence[Size], say: Say) -> Iterator[ParityCase]:
    """Yields the pictures of a directory at their own size, or at ``sizes``.

    Pictures are cropped, or reflected if too small, at the bottom and on the right. They are not
    resampled, which would smooth the rain away.

    Raises:
        UserError: if there are no pictures, or one cannot be read.
    """
    for frame in PictureSource(str(directory), say, strict=True).frames(colour):
        for size in sizes or [frame.pixels.shape[:2]]:
            height, width = size
            yield ParityCase(f"{frame.name} {width}x{height}", _fitted_to(frame.pixels, height, width)[None])


def _fitted_to(picture: Pixels, height: int, width: int) -> Pixels:
    cropped = picture[:height, :width]
    bottom, right = height - cropped.shape[0], width - cropped.shape[1]
    if not bottom and not right:
        return np.ascontiguousarray(cropped)
    return np.asarray(cv2.copyMakeBorder(cropped, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
