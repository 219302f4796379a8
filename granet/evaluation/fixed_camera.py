"""Real rain filmed by a fixed camera: measures how much of its flicker a network removes.

Real rain has no ground truth. But rain covers a pixel only in few frames (Garg and Nayar, CVPR 2004), so
where nothing moves, the temporal median of a clip is the scene without rain. The clip is compared with it
before and after deraining, on its static pixels only.

A pixel is static if its luma stays within :data:`CALM` levels of its median in at least half of the frames,
and if the medians of the first and the second half of the clip differ by no more than that. Rainy pixels pass
both tests; moving objects and changing light do not.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.evaluation.metrics import psnr

CALM = 4.0
"""Grey levels; camera noise, compression and, in most frames, rain stay below this deviation."""

LEAST_STATIC = 0.2
"""Share of static pixels below which the camera moves; a pan leaves flat areas static."""

FEWEST = 10
"""Fewest frames for a meaningful temporal median."""

STATIC_RULE = (
    f"static pixels: luma is within {CALM:g} grey levels of its median over time in at least half of the "
    f"frames, and the medians of both halves of the clip differ by {CALM:g} levels at most"
)
"""Name of the measured pixels, for display."""

Luma = NDArray[np.uint8]


@dataclass(frozen=True)
class FixedCamera:
    """The flicker of a clip before and after deraining.

    Attributes:
        frames: number of measured frames.
        static_share: share of static pixels, in [0, 1].
        deviation_before: standard deviation over time, averaged over static pixels, in grey levels of luma.
        deviation_after: the same for the derained clip.
        psnr_before_db: PSNR of luma on static pixels against the temporal median of the input, averaged over
            the frames.
        psnr_after_db: the same for the derained clip, against the same median.
    """

    frames: int
    static_share: float
    deviation_before: float
    deviation_after: float
    psnr_before_db: float
    psnr_after_db: float

    @property
    def flicker_removed(self) -> float:
        """Share of the temporal deviation that is removed; negative if the deviation grew."""
        return 1 - self.deviation_after / self.deviation_before


def luma(frame: Pixels) -> Luma:
    """ITU-R BT.601 luma: uint8 H x W x 3, RGB -> uint8 H x W."""
    return np.asarray(np.rint(frame @ np.array([0.299, 0.587, 0.114])), np.uint8)


def measure_fixed_camera(before: Sequence[Luma], after: Sequence[Luma]) -> FixedCamera:
    """Measures a clip.

    Args:
        before: luma of the input frames, uint8 H x W each.
        after: luma of the derained frames, of the same number and size.

    Raises:
        UserError: if there are too few frames, too few pixels are static, or nothing flickers on them.
    """
    if len(before) < FEWEST:
        raise UserError(
            f"the clip has {len(before)} frames, but at least {FEWEST} are needed: use a longer one"
        )
    rainy, derained = np.stack(before), np.stack(after)  # T x H x W
    scene = np.median(rainy, axis=0)
    static = static_pixels(rainy, scene)
    if static.mean() < LEAST_STATIC:
        raise UserError(
            f"{static.mean():.1%} of the pixels of this clip are static, and {LEAST_STATIC:.0%} are needed: "
            "use a clip from a fixed camera"
        )
    # T x static pixels
    rainy_static, derained_static, scene_static = rainy[:, static], derained[:, static], scene[static]
    deviation_before = _deviation(rainy_static)
    if deviation_before == 0:
        raise UserError(
            "nothing flickers where this clip stands still: its frames are alike; use a clip of rain"
        )
    return FixedCamera(
        len(before),
        float(static.mean()),
        deviation_before,
        _deviation(derained_static),
        _mean_psnr(rainy_static, scene_static),
        _mean_psnr(derained_static, scene_static),
    )


def static_pixels(clip: NDArray[np.uint8], scene: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Mask of the static pixels of T x H x W luma, H x W; ``scene`` is its median over time."""
    half, static = len(clip) // 2, np.empty(scene.shape, np.bool_)
    for part in _parts(len(static)):
        rows = clip[:, part]
        deviation = np.median(np.abs(rows - scene[part]), axis=0)
        drift = np.abs(np.median(rows[:half], axis=0) - np.median(rows[half:], axis=0))
        static[part] = (deviation <= CALM) & (drift <= CALM)
    return static


def _deviation(frames: NDArray[np.uint8]) -> float:
    """Mean over n of the temporal standard deviation of T x n values."""
    count: int = frames.shape[1]
    return math.fsum(frames[:, part].std(axis=0).sum() for part in _parts(count, 2**14)) / count


def _parts(count: int, size: int = 16) -> Iterator[slice]:
    """Slices of ``count`` rows or pixels: the float64 copies of a whole clip would need gigabytes."""
    return (slice(start, start + size) for start in range(0, count, size))


def _mean_psnr(frames: NDArray[np.uint8], truth: NDArray[np.floating]) -> float:
    """Mean PSNR in dB of T x n values against n."""
    return float(np.mean([psnr(frame, truth) for frame in frames]))
