"""Adds the faults of real cameras to both pictures of a training pair, so that a network preserves them.

The faults are added before the rain. A network that was trained on perfect photographs only mistakes noise,
JPEG blocks and blur for rain, and has never seen dark pictures.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from granet.data.image_files import Pixels


@dataclass(frozen=True)
class CameraFaults:
    """Frequency and strength of the faults; a range is (lowest, highest).

    Attributes:
        share: share of the pictures that may get faults, in [0, 1].
        dark: exposure of a dark picture, as a factor of its original light.
        gamma: exponent of its tone curve; above 1 is darker.
        blur: length of linear motion blur, in pixels.
        noise: standard deviation of sensor noise, in grey levels.
        quality: JPEG quality of libjpeg.
    """

    share: float
    dark: tuple[float, float] = (0.2, 0.9)
    gamma: tuple[float, float] = (0.8, 1.8)
    blur: tuple[float, float] = (2.0, 9.0)
    noise: tuple[float, float] = (1.0, 9.0)
    quality: tuple[int, int] = (35, 92)

    def apply(self, clean: Pixels, rng: np.random.Generator) -> Pixels:
        """Degrades a picture as a worse camera would.

        Args:
            clean: uint8 H x W x 3, RGB.
            rng: source of all random choices.

        Returns:
            The same shape; ``clean`` itself if it gets no fault.
        """
        if rng.random() >= self.share:
            return clean
        picture = clean
        if rng.random() < 0.5:
            picture = _darkened(picture, rng.uniform(*self.dark), rng.uniform(*self.gamma))
        if rng.random() < 0.3:
            picture = _moved(picture, rng.uniform(*self.blur), rng.uniform(0, np.pi))
        if rng.random() < 0.5:
            picture = _noisy(picture, rng.uniform(*self.noise), rng)
        if rng.random() < 0.5:
            picture = _compressed(picture, int(rng.integers(*self.quality)))
        return picture


def _darkened(picture: Pixels, exposure: float, gamma: float) -> Pixels:
    levels = np.arange(256) / 255
    return cv2.LUT(picture, np.rint(255 * exposure * levels**gamma).astype(np.uint8)).astype(np.uint8)


def _moved(picture: Pixels, length: float, angle: float) -> Pixels:
    """Blurs along a straight line of ``length`` pixels, ``angle`` radians from the horizontal."""
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    middle, reach = side // 2, length / 2
    step = np.array([np.cos(angle), np.sin(angle)]) * reach
    # End points in 1/16 pixel: the shift argument of cv2.line is 4.
    first, last = (tuple(int(v) for v in np.rint(16 * (middle + sign * step))) for sign in (-1, 1))
    cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_AA, 4)
    kernel[middle, middle] = max(kernel[middle, middle], 1.0)
    blurred = cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return blurred.astype(np.uint8, copy=False)


def _noisy(picture: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(picture.shape, np.float32) * deviation
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _compressed(picture: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])
