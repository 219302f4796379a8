"""Synthetic rain with numpy only: streaks at several depths, mist, and out-of-focus drops.

A rainy picture is min(255, clean + S), where S >= 0 is equal in the three channels, as in Rain100L and
Rain100H (Yang et al., CVPR 2017). S is a sum of layers, one per depth. A layer is a field of impulses
convolved with one motion-blurred streak. The impulses of a layer fall on a torus at a common velocity, so
the same rain at a later time has fallen further.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class StreakLayer:
    """Streaks at one depth.

    Attributes:
        length: length of a streak in pixels.
        width: standard deviation of its Gaussian cross-section in pixels.
        angle: degrees from the vertical; positive if streaks fall to the right.
        density: streaks per 10,000 pixels.
        brightness: mean peak of a streak, in grey levels (0 to 255).
        evenness: shape of the gamma distribution of the peaks; 1 is exponential: few bright streaks among
            many faint ones, as in Rain100L.
        speed: pixels per second.
    """

    length: float
    width: float
    angle: float
    density: float
    brightness: float
    evenness: float
    speed: float


@dataclass(frozen=True)
class Rain:
    """Rain over a whole picture.

    Attributes:
        layers: streaks, one layer per depth.
        mist: mean of a smooth veil, in grey levels.
        drops: out-of-focus drops on the lens per 100,000 pixels.
        seed: random seed for positions and brightness.
    """

    layers: tuple[StreakLayer, ...]
    mist: float = 0.0
    drops: float = 0.0
    seed: int = 0


def sample_rain(rng: np.random.Generator, heaviness: float) -> Rain:
    """Draws random rain of a given heaviness.

    Args:
        rng: source of all random choices.
        heaviness: 0 is drizzle, 0.2 about Rain100L, 0.85 about Rain100H, and 1 a cloudburst.

    Returns:
        One to five layers (three to six in heavy rain) with roughly the same wind direction, sometimes
        with mist or drops.
    """
    heaviness = float(np.clip(heaviness, 0.0, 1.0))
    wind = rng.normal(0.0, 16.0)
    # Light rain may have a single layer, as in Rain100L; heavy rain never does, as in Rain100H.
    count = int(rng.integers(1, 6)) if heaviness < 0.6 else int(rng.integers(3, 7))
    layers = []
    for _ in range(count):
        depth = rng.uniform(0.0, 1.0)  # 0 is far (short, thin, faint and slow), 1 is near
        length = rng.uniform(8, 24) + depth * rng.uniform(10, 60 + 30 * heaviness)
        width = 0.45 + 0.7 * depth * rng.uniform(0.3, 1.0) + 0.4 * heaviness * rng.uniform(0, 1)
        cover = (0.09 + 1.6 * heaviness**1.6) * rng.uniform(0.4, 1.6) / count
        layers.append(
            StreakLayer(
                length=length,
                width=width,
                angle=wind + rng.normal(0.0, 2.0 + 6.0 * heaviness),
                density=1e4 * cover / (length * width * 2.5),
                brightness=(32 + 24 * heaviness) * rng.uniform(0.6, 1.5),
                evenness=1 + 5 * heaviness**2,
                speed=length * 25,
            )
        )
    mist = rng.uniform(2, 30) if rng.random() < 0.15 + 0.2 * heaviness else 0.0
    drops = rng.uniform(2, 12) if rng.random() < 0.08 else 0.0
    return Rain(tuple(layers), mist, drops, int(rng.integers(2**31)))


def render_rain(rain: Rain, height: int, width: int, time: float = 0.0) -> Floats:
    """Renders the rain S that is added to a picture.

    Args:
        rain: the rain.
        height: pixels.
        width: pixels.
        time: seconds; streaks fall over time, while lens drops and mist stay.

    Returns:
        float32 H x W in grey levels, at least 0 and without an upper bound (clip after adding).
    """
    rng = np.random.default_rng(rain.seed)
    spectrum = np.zeros((height, width // 2 + 1), np.complex128)
    for layer in rain.layers:
        impulses = _impulses(layer, height, width, time, rng)
        spectrum += np.fft.rfft2(impulses) * np.fft.rfft2(_streak(layer, height, width))
    total = np.fft.irfft2(spectrum, s=(height, width))
    if rain.mist:
        total += rain.mist * _veil(height, width, rng)
    if rain.drops:
        total += _lens_drops(rain.drops, height, width, rng)
    # The transform leaves rounding noise of either sign where there is no rain.
    total[total < 0.5] = 0.0
    return total.astype(np.float32)


def add_rain(clean: NDArray[np.uint8], rain: Floats) -> NDArray[np.uint8]:
    """Adds rain to a picture: min(255, clean + S), rounded.

    Args:
        clean: uint8 H x W x 3, any colour order.
        rain: float32 H x W in grey levels, from :func:`render_rain`.

    Returns:
        uint8 H x W x 3.
    """
    return np.minimum(clean.astype(np.float32) + np.rint(rain)[..., None], 255).astype(np.uint8)


def _impulses(
    layer: StreakLayer, height: int, width: int, time: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """One impulse per streak, split over the four nearest pixels; H x W."""
    count = int(rng.poisson(layer.density * height * width / 1e4))
    peaks = rng.gamma(layer.evenness, layer.brightness / layer.evenness, count)
    angle = np.deg2rad(layer.angle)
    rows = rng.uniform(0, height, count) + time * layer.speed * np.cos(angle)
    columns = rng.uniform(0, width, count) + time * layer.speed * np.sin(angle)
    field = np.zeros((height, width))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    for row, row_weight in ((top, 1 - down), (top + 1, down)):
        for column, column_weight in ((left, 1 - right), (left + 1, right)):
            np.add.at(field, (row % height, column % width), peaks * row_weight * column_weight)
    return field


def _streak(layer: StreakLayer, height: int, width: int) -> NDArray[np.float64]:
    """One streak of peak 1 around the origin of an H x W torus: Gaussian across, tapered along."""
    row = np.fft.fftfreq(height, 1 / height)[:, None]
    column = np.fft.fftfreq(width, 1 / width)[None, :]
    angle = np.deg2rad(layer.angle)
    along = row * np.cos(angle) + column * np.sin(angle)
    across = column * np.cos(angle) - row * np.sin(angle)
    taper = np.clip((layer.length / 2 - np.abs(along)) / (0.3 * layer.length), 0, 1)
    kernel: NDArray[np.float64] = np.exp(-0.5 * (across / layer.width) ** 2) * taper
    return kernel


def _veil(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth field of mean about 1, at least 0, H x W: a sum of a few long waves."""
    row = np.arange(height)[:, None] / max(height, width)
    column = np.arange(width)[None, :] / max(height, width)
    field = np.ones((height, width))
    for _ in range(4):
        across, down, phase = rng.uniform(0, 1.5), rng.uniform(0, 1.5), rng.uniform(0, 2 * np.pi)
        field += 0.25 * np.cos(2 * np.pi * (across * column + down * row) + phase)
    return np.maximum(field, 0)


def _lens_drops(per_100k: float, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Soft bright discs, H x W: drops on the lens, out of focus."""
    field = np.zeros((height, width))
    row, column = np.arange(height)[:, None], np.arange(width)[None, :]
    for _ in range(int(rng.poisson(per_100k * height * width / 1e5))):
        radius = rng.uniform(2, 9)
        distance = np.hypot(row - rng.uniform(0, height), column - rng.uniform(0, width))
        # A logistic edge written with tanh, because exp would overflow far from the drop.
        field += rng.uniform(10, 60) * 0.5 * (1 - np.tanh((distance - radius) / (0.3 * radius)))
    return field
