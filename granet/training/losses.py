"""Training losses: the mean absolute error of the paper, the negative SSIM of PReNet, the negative PSNR."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

LossName = Literal["l1", "ssim", "l1+ssim", "psnr"]
LOSSES: tuple[str, ...] = get_args(LossName)

TEACHER_SHARE = 0.5
"""Weight of the loss against the teacher's result, relative to the loss against the ground truth."""

_LEVEL = 1e-4
"""Mean squared error, 40 dB, below which the PSNR loss levels off: dry crops would outweigh all others."""

_PSNR_SCALE = 0.01
"""Gives gradients of the size of the mean absolute error's, for which the recipes clip them."""

_WINDOW, _SIGMA = 11, 1.5  # Wang et al., IEEE TIP 2004, section III-C
_C1, _C2 = 0.01**2, 0.03**2


def restoration_loss(derained: Tensor, target: Tensor, name: LossName) -> Tensor:
    """The loss of a derained picture against a target.

    Args:
        derained: N x 3 x H x W, float32; unclamped.
        target: the same shape, in [0, 1].
        name: ``l1`` is the mean absolute error (equation 9's L), ``ssim`` is 1 - SSIM (Ren et al., PReNet,
            CVPR 2019, section 3.3, up to the constant), and ``l1+ssim`` is their sum. ``psnr`` is the
            negative PSNR of each picture (Chen et al., HINet, CVPRW 2021) up to scale and constant, and zero
            for equal pictures: 0.01 * 10 log10(1 + MSE / 1e-4).

    Returns:
        A scalar.
    """
    parts = []
    if name in ("l1", "l1+ssim"):
        parts.append(F.l1_loss(derained, target))
    if name in ("ssim", "l1+ssim"):
        parts.append(1 - ssim(derained, target))
    if name == "psnr":
        error = F.mse_loss(derained, target, reduction="none").mean(dim=(1, 2, 3))
        parts.append(_PSNR_SCALE * 10 * torch.log10(1 + error / _LEVEL).mean())
    return torch.stack(parts).sum()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al., IEEE TIP 2004) with its Gaussian window of 11 x 11, sigma 1.5.

    Args:
        a: N x C x H x W, in [0, 1]; H and W at least 11.
        b: the same shape.

    Returns:
        A scalar, 1 for equal pictures. Windows that would cross the border are left out.
    """
    channels = a.shape[1]
    blurred = _blur(torch.cat([a, b, a * a, b * b, a * b], dim=1))
    mean_a, mean_b, square_a, square_b, product = torch.split(blurred, channels, dim=1)
    variances = square_a - mean_a**2 + square_b - mean_b**2
    covariance = product - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    return (likeness / ((mean_a**2 + mean_b**2 + _C1) * (variances + _C2))).mean()


def _blur(x: Tensor) -> Tensor:
    """Applies the Gaussian window in two passes; N x C x H x W -> N x C x H-10 x W-10."""
    kernel = _kernel().to(x.device)
    channels = x.shape[1]
    x = F.conv2d(x, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(x, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def _kernel() -> Tensor:
    offsets = torch.arange(_WINDOW, dtype=torch.float32) - _WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    normalised: Tensor = weights / weights.sum()
    return normalised
