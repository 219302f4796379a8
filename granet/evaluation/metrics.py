"""PSNR and SSIM on the luminance Y, in the two variants that the deraining literature uses.

``paper`` is the metric of the paper's tables (from the evaluation of its predecessor NLEDN): Y of Pillow's
full-range YCbCr, rounded to integers, and scikit-image's default SSIM. ``matlab`` is what most other papers
report: Y of Matlab's ``rgb2ycbcr`` and the SSIM of Wang et al.'s ``ssim.m``. On Rain100L they differ by
1.3 dB, so a number without the name of its metric means little.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from granet.data.image_files import Pixels
from granet.errors import UserError

Plane = NDArray[np.float64]

Metric = Literal["paper", "matlab"]
METRICS: tuple[Metric, ...] = ("paper", "matlab")

IDENTICAL_DB = 100.0
"""Upper limit of PSNR, and the PSNR of equal pictures: keeps means finite and JSON valid. A single pixel of
a 481x321 picture that differs by one level gives 100 dB."""

MIN_SIDE = 11
"""Smallest side of a picture in pixels: the window of ``matlab`` must fit in it."""

_PEAK = 255.0
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2  # Wang et al. 2004, section III.B
_UNIFORM = 7  # scikit-image's default window
_GAUSSIAN, _SIGMA = 11, 1.5  # Wang et al. 2004, section III.C


@dataclass(frozen=True)
class Quality:
    """Similarity of a picture to the ground truth by one metric.

    Attributes:
        psnr_db: PSNR on Y in dB, at most :data:`IDENTICAL_DB`.
        ssim: SSIM on Y; 1 for equal pictures.
    """

    psnr_db: float
    ssim: float


@dataclass(frozen=True)
class Scores:
    """Similarity of a picture to the ground truth by both metrics.

    Attributes:
        paper: the metric of the paper's tables.
        matlab: the metric of most of the literature.
    """

    paper: Quality
    matlab: Quality

    def by(self, metric: Metric) -> Quality:
        """The similarity by the given metric."""
        return self.paper if metric == "paper" else self.matlab


def score(picture: Pixels, truth: Pixels) -> Scores:
    """Compares ``picture`` with ``truth`` by both metrics.

    Args:
        picture: uint8 H x W x 3, RGB.
        truth: the same shape.

    Raises:
        UserError: if the sizes differ, or a side is below :data:`MIN_SIDE` pixels.
    """
    for pixels in (picture, truth):
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"pictures must be uint8 H x W x 3, not {pixels.dtype} {pixels.shape}")
    (height, width), other = picture.shape[:2], truth.shape[:2]
    if (height, width) != other:
        raise UserError(f"a picture of {width}x{height} pixels cannot be compared with {other[1]}x{other[0]}")
    if min(height, width) < MIN_SIDE:
        raise UserError(
            f"a picture of {width}x{height} pixels is too small: SSIM needs at least {MIN_SIDE}x{MIN_SIDE}"
        )
    return Scores(paper=_paper(picture, truth), matlab=_matlab(picture, truth))


def luma_paper(rgb: Pixels) -> Plane:
    """Y of ``PIL.Image.convert("YCbCr")``: JFIF, in [0, 255], integers.

    Pillow sums tables with six fractional bits and truncates the sum. The result is up to one level below the
    rounded 0.299 R + 0.587 G + 0.114 B (``ConvertYCbCr.c``).

    Args:
        rgb: uint8 H x W x 3.

    Returns:
        float64 H x W.
    """
    total = sum(table[rgb[..., channel]] for channel, table in enumerate(_PILLOW_TABLES))
    return np.asarray(total >> 6, np.float64)


def luma_matlab(rgb: Pixels) -> Plane:
    """Y of Matlab's ``rgb2ycbcr`` for doubles: BT.601 in [16, 235], not rounded.

    Args:
        rgb: uint8 H x W x 3.

    Returns:
        float64 H x W.
    """
    return np.asarray(16 + rgb @ (np.array([65.481, 128.553, 24.966]) / 255), np.float64)


_PILLOW_TABLES = [np.rint(64 * weight * np.arange(256)).astype(np.int32) for weight in (0.299, 0.587, 0.114)]


def _paper(picture: Pixels, truth: Pixels) -> Quality:
    x, y = luma_paper(picture), luma_paper(truth)
    samples = _UNIFORM**2
    # skimage.metrics.structural_similarity divides covariances by n - 1 (use_sample_covariance) and averages
    # over the positions where the window fits.
    unbiased = samples / (samples - 1)
    return Quality(psnr(x, y), _ssim(x, y, _uniform, unbiased))


def _matlab(picture: Pixels, truth: Pixels) -> Quality:
    x, y = luma_matlab(picture), luma_matlab(truth)
    return Quality(psnr(x, y), _ssim(x, y, _gaussian, 1.0))


def psnr(x: NDArray[Any], y: NDArray[Any]) -> float:
    """PSNR in dB of two arrays of one shape with values from 0 to 255, at most :data:`IDENTICAL_DB`."""
    error = float(np.mean((np.asarray(x, np.float64) - y) ** 2))
    if error == 0:
        return IDENTICAL_DB
    return min(float(10 * np.log10(_PEAK**2 / error)), IDENTICAL_DB)


def _ssim(x: Plane, y: Plane, window: Callable[[Plane], Plane], unbiased: float) -> float:
    """Equation 13 of Wang et al. 2004, and its mean over the picture, equation 17."""
    mean_x, mean_y = window(x), window(y)
    variances = unbiased * (window(x * x) + window(y * y) - mean_x**2 - mean_y**2)
    covariance = unbiased * (window(x * y) - mean_x * mean_y)
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return float(np.mean(luminance * (2 * covariance + _C2) / (variances + _C2)))


def _uniform(plane: Plane) -> Plane:
    """Means over 7 x 7 where the window fits: H - 6 x W - 6."""
    return _inner(cv2.boxFilter(plane, cv2.CV_64F, (_UNIFORM, _UNIFORM)), _UNIFORM)


def _gaussian(plane: Plane) -> Plane:
    """Means weighted by an 11 x 11 Gaussian where it fits: H - 10 x W - 10."""
    kernel = cv2.getGaussianKernel(_GAUSSIAN, _SIGMA, cv2.CV_64F)
    return _inner(cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel), _GAUSSIAN)


def _inner(filtered: NDArray[np.generic], window: int) -> Plane:
    edge = window // 2
    return np.asarray(filtered[edge:-edge, edge:-edge], np.float64)
