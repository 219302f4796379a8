"""Real rain before a camera that stands still: how much of its flicker a network takes away.

Real rain has no ground truth. But rain covers a pixel in few frames only (Garg and Nayar, CVPR 2004), so
where nothing moves the temporal median of a clip is the scene without rain. Against it the clip is measured
before and after, on its static pixels alone.

A pixel is static if its luma stays within :data:`CALM` levels of its median in at least half of the frames,
and if the medians of the clip's first and second half differ by no more than that: rain passes both tests, an
object that moves or a light that changes does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from granet.data.image_files import Pixels
from granet.errors import UserError

CALM = 4.0
"""Grey levels; noise and compression of a camera stay below, and so does most rain in most frames."""

FEWEST = 10
"""Frames from which a median over time says anything."""

STATIC_RULE = (
    f"static pixels: luma is within {CALM:g} grey levels of its median over time in at least half of the "
    f"frames, and the medians of both halves of the clip differ by {CALM:g} levels at most"
)
"""Which pixels are measured, for people."""

Luma = NDArray[np.uint8]


@dataclass(frozen=True)
class FixedCamera:
    """What became of the flicker of a clip.

    Attributes:
        frames: how many were measured.
        static_share: of the pixels, in [0, 1].
        deviation_before: mean over static pixels of the standard deviation over time, in grey
            levels of luma.
        deviation_after: the same of the result.
        psnr_before_db: mean over the frames of the PSNR of luma, on static pixels, to the temporal median of
            the clip as it came.
        psnr_after_db: the same of the result, to the same median.
    """

    frames: int
    static_share: float
    deviation_before: float
    deviation_after: float
    psnr_before_db: float
    psnr_after_db: float

    @property
    def flicker_removed(self) -> float:
        """Share of the temporal deviation that is gone; negative if there is more of it."""
        return 1 - self.deviation_after / max(self.deviation_before, 1e-9)


def luma(frame: Pixels) -> Luma:
    """Luma of ITU-R BT.601: uint8 H x W x 3, RGB -> uint8 H x W."""
    return np.asarray(np.rint(frame @ np.array([0.299, 0.587, 0.114])), np.uint8)


def measure_fixed_camera(before: Sequence[Luma], after: Sequence[Luma]) -> FixedCamera:
    """Measures a clip.

    Args:
        before: luma of its frames, uint8 H x W each.
        after: luma of the results, as many of the same size.

    Raises:
        UserError: if there are too few frames, or no pixel is static.
    """
    if len(before) < FEWEST:
        raise UserError(f"a fixed camera needs {FEWEST} frames or more, and there are {len(before)}")
    came, left = np.stack(before), np.stack(after)  # T x H x W
    scene = np.median(came, axis=0)
    static = static_pixels(came, scene)
    if not static.any():
        raise UserError("no pixel of this clip is static: it is for a camera that stands still")
    # T x static pixels
    came_static, left_static, scene_static = came[:, static], left[:, static], scene[static]
    return FixedCamera(
        len(before),
        float(static.mean()),
        float(came_static.std(axis=0).mean()),
        float(left_static.std(axis=0).mean()),
        _psnr(came_static, scene_static),
        _psnr(left_static, scene_static),
    )


def static_pixels(clip: NDArray[np.uint8], scene: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which pixels of T x H x W luma are static, H x W; ``scene`` is the clip's median over time."""
    half = len(clip) // 2
    deviation = np.median(np.abs(clip - scene), axis=0)
    drift = np.abs(np.median(clip[:half], axis=0) - np.median(clip[half:], axis=0))
    return np.asarray((deviation <= CALM) & (drift <= CALM))


def _psnr(frames: NDArray[np.uint8], truth: NDArray[np.floating]) -> float:
    """Mean PSNR in dB of T x n values to n; 100 dB counts as equal."""
    errors = ((frames - truth) ** 2).mean(axis=1)
    return float(np.minimum(10 * np.log10(255**2 / np.maximum(errors, 1e-12)), 100.0).mean())
