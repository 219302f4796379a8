"""Synthetic rain of long lines with hard ends, the second kind of rain of RainTrainH.

Yang et al. (CVPR 2017) describe it as "simulated sharp line streaks along a certain direction with a small
variation within an image": sparse noise under a motion blur. The lines are longer than the streaks of
:mod:`granet.synthetic.rain`, are equally bright from end to end, and cover most of a picture in heavy rain.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LineLayer:
    """Lines of one direction.

    Attributes:
        length: length of a line in pixels.
        thickness: 1 to 3 pixels.
        angle: degrees from the vertical; positive if lines fall to the right.
        cover: mean number of lines over a pixel.
        brightness: mean of S over the picture, in grey levels.
        evenness: shape of the gamma distribution of the brightness of the lines.
        smooth: whether the edges of a line are antialiased.
    """

    length: float
    thickness: int
    angle: float
    cover: float
    brightness: float
    evenness: float
    smooth: bool


def sample_lines(rng: np.random.Generator, heaviness: float) -> tuple[LineLayer, ...]:
    """Draws random lines of a given heaviness.

    Args:
        rng: source of all random choices.
        heaviness: from 0 to 1, as for :func:`granet.synthetic.rain.sample_rain`, with a similar mean of S.

    Returns:
        One to four layers of roughly the same direction, in heavy rain sometimes a faint one across them.
    """
    heaviness = float(np.clip(heaviness, 0.0, 1.0))
    wind = rng.normal(0.0, 12.0)
    count = int(rng.integers(1, 4 if heaviness < 0.5 else 5))
    mean = (1.5 + 70 * heaviness**1.4) * rng.uniform(0.6, 1.4) / count
    layers = [
        _layer(rng, wind + rng.normal(0.0, 1.0 + 4.0 * heaviness), mean, heaviness) for _ in range(count)
    ]
    if rng.random() < 0.4 * heaviness:
        across = wind + rng.choice((-1, 1)) * rng.uniform(20, 60)
        layers.append(_layer(rng, across, mean * rng.uniform(0.05, 0.3), 0.2))
    return tuple(layers)


def render_lines(layers: tuple[LineLayer, ...], rng: np.random.Generator, height: int, width: int) -> Floats:
    """Renders lines.

    Args:
        layers: what :func:`sample_lines` gives.
        rng: source of the positions and of the brightness of each line.
        height: pixels.
        width: pixels.

    Returns:
        S: float32 height x width in grey levels, at least 0 and without an upper bound.
    """
    total = np.zeros((height, width), np.float32)
    for layer in layers:
        kernel = _kernel(layer)
        margin_y, margin_x = kernel.shape[0] // 2, kernel.shape[1] // 2
        field = _impulses(layer, float(kernel.sum()), rng, height + 2 * margin_y, width + 2 * margin_x)
        blurred = cv2.filter2D(field, cv2.CV_32F, kernel)
        total += blurred[margin_y : margin_y + height, margin_x : margin_x + width]
    # A large kernel is applied by a Fourier transform, which leaves rounding noise where there is no rain.
    total[total < 0.5] = 0.0
    return total


def _layer(rng: np.random.Generator, angle: float, mean: float, heaviness: float) -> LineLayer:
    # A cover so small that lines would be brighter than white gives too little rain.
    cover = float(np.clip(rng.uniform(0.1, 0.4 + 1.6 * heaviness), mean / 90, None))
    return LineLayer(
        length=float(rng.uniform(25, 80 + 170 * heaviness)),
        thickness=int(rng.choice((1, 2, 3), p=(0.5, 0.35, 0.15))),
        angle=angle,
        cover=cover,
        brightness=mean,
        evenness=float(rng.uniform(1.5, 4.0)),
        smooth=bool(rng.random() < 0.4),
    )


def _impulses(layer: LineLayer, area: float, rng: np.random.Generator, height: int, width: int) -> Floats:
    """One value per line, at its centre: height x width."""
    count = int(rng.poisson(layer.cover / area * height * width))
    peak = layer.brightness / layer.cover
    field = np.zeros(height * width, np.float32)
    places = rng.integers(height * width, size=count)
    np.add.at(field, places, rng.gamma(layer.evenness, peak / layer.evenness, count).astype(np.float32))
    return field.reshape(height, width)


def _kernel(layer: LineLayer) -> Floats:
    """One line of brightness 1 in the middle of an array with odd sides."""
    angle = np.deg2rad(layer.angle)
    half = int(np.ceil(layer.length / 2)) + 2
    down, right = half * abs(np.cos(angle)), half * abs(np.sin(angle))
    rows, columns = 2 * int(down + 3) + 1, 2 * int(right + 3) + 1
    kernel = np.zeros((rows, columns), np.uint8)
    shift = np.array((np.sin(angle), np.cos(angle))) * layer.length / 2
    middle = np.array((columns // 2, rows // 2))
    start, end = np.rint(middle - shift).astype(int), np.rint(middle + shift).astype(int)
    kind = cv2.LINE_AA if layer.smooth else cv2.LINE_8
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 255, layer.thickness, kind)
    return np.asarray(kernel, np.float32) / np.float32(255)
