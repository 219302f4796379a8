"""The equations of the paper written a second time, one number at a time where it matters.

Nothing here calls the network; it only reads the weights of its layers. float64, so that a near-tied
maximum does not flip by rounding.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from granet import GraNet
from granet.model import DenseBlock, RegionAwareBlock


def equation_6(theta: Tensor, phi: Tensor, g: Tensor, rows: int, columns: int, key_stride: int) -> np.ndarray:
    """Each position looks at the (sub-sampled) positions of its own region, and at no other.

    A window of the sub-sampling is whole, or the whole region where that is shorter.
    """
    queries, keys, values = (x.numpy() for x in (theta, phi, g))
    count, _, height, width = queries.shape
    h, w, s = height // rows, width // columns, key_stride
    result = np.empty_like(queries)
    for n, y, x in np.ndindex(count, height, width):
        top, left = y // h * h, x // w * w
        logits, seen = [], []
        tall, wide = min(s, h), min(s, w)
        for row in range(top, top + h - tall + 1, s):
            for column in range(left, left + w - wide + 1, s):
                window = np.s_[n, :, row : row + tall, column : column + wide]
                logits.append(queries[n, :, y, x] @ keys[window].max(axis=(1, 2)))
                seen.append(values[window].max(axis=(1, 2)))
        weights = np.exp(logits)
        result[n, :, y, x] = weights @ np.array(seen) / weights.sum()
    return result


def pool(x: np.ndarray) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Equation 2: the first maximum, in reading order, of each 2x2 window, and where it was."""
    count, channels, height, width = x.shape
    pooled, places = np.empty((count, channels, height // 2, width // 2)), []
    for n, c, y, z in np.ndindex(pooled.shape):
        window = x[n, c, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2]
        first = int(window.reshape(-1).argmax())  # numpy promises the first of equals
        pooled[n, c, y, z] = window.reshape(-1)[first]
        places.append((n, c, 2 * y + first // 2, 2 * z + first % 2))
    return pooled, places


def unpool(x: np.ndarray, places: list[tuple[int, ...]], like: np.ndarray) -> np.ndarray:
    """Equation 4: each value goes back to where its maximum was; zeros elsewhere."""
    result = np.zeros_like(like)
    for place, value in zip(places, x.reshape(-1), strict=True):
        result[place] = value
    return result


def dense(block: DenseBlock, x: Tensor) -> Tensor:
    """Figure 3, every convolution taken apart into one a source: nothing is ever concatenated."""
    sources = [x]

    def sees_all(layer: nn.Conv2d, padding: int) -> Tensor:
        parts = layer.weight.split([source.shape[1] for source in sources], dim=1)
        pairs = zip(sources, parts, strict=True)
        total = sum(F.conv2d(source, part, padding=padding) for source, part in pairs)
        return total + layer.bias.reshape(1, -1, 1, 1)

    for layer in block.layers:
        sources.append(sees_all(layer, 1).clamp_min(0))
    return x + sees_all(block.fusion, 0)


def non_local(block: RegionAwareBlock, x: Tensor, grid: int) -> Tensor:
    embedded = [F.conv2d(x, layer.weight, layer.bias) for layer in (block.theta, block.phi, block.g)]
    attended = torch.from_numpy(equation_6(*embedded, grid, grid, block.key_stride))
    return x + F.conv2d(attended, block.out.weight, block.out.bias)


def coarse_stage(model: GraNet, image: Tensor) -> Tensor:
    """Equations 1 to 4 for an image of at most 512 pixels: the mask."""
    stage, x = model.coarse, F.conv2d(image, model.coarse.head.weight, model.coarse.head.bias, padding=1)
    x, kept = x.clamp_min(0), []
    for block in stage.local:
        local = dense(block, x)
        pooled, places = pool(local.numpy())
        kept.append((local, places))
        x = torch.from_numpy(pooled)
    for block, grid, (local, places) in zip(stage.region_aware, (1, 2, 4), reversed(kept), strict=True):
        x = torch.from_numpy(unpool(non_local(block, x, grid).numpy(), places, local.numpy())) + local
    return F.conv2d(x, stage.mask.weight, stage.mask.bias, padding=1)


def fine_stage(model: GraNet, coarse: Tensor) -> Tensor:
    """Section 3.3: the merging block gets A, C = k C' channels, and gives B, C' channels."""
    x = F.conv2d(coarse, model.fine.head.weight, model.fine.head.bias, padding=1).clamp_min(0)
    levels = []
    for block in model.fine.blocks:
        x = dense(block, x)
        levels.append(x)
    merged = equations_7_and_8(torch.cat(levels, dim=1), k=len(levels))
    return F.conv2d(merged, model.fine.reconstruct.weight, model.fine.reconstruct.bias, padding=1)


def equations_7_and_8(a: Tensor, k: int) -> Tensor:
    return a.unflatten(1, (k, -1)).mean(dim=1)


def folded(image: np.ndarray, fold: int) -> np.ndarray:
    """N x 3 x H x W -> N x 3 fold^2 x H/fold x W/fold: channel c fold^2 + y fold + x holds the pixels (y, x)
    of each fold x fold window of channel c (Shi et al., CVPR 2016, equation 4, backwards)."""
    count, channels, height, width = image.shape
    result = np.empty((count, channels * fold**2, height // fold, width // fold), image.dtype)
    for c, y, x in np.ndindex(channels, fold, fold):
        result[:, c * fold**2 + y * fold + x] = image[:, c, y::fold, x::fold]
    return result


def unfolded(image: np.ndarray, fold: int) -> np.ndarray:
    """The inverse of :func:`folded`."""
    count, channels, height, width = image.shape
    result = np.empty((count, channels // fold**2, height * fold, width * fold), image.dtype)
    for c, y, x in np.ndindex(result.shape[1], fold, fold):
        result[:, c, y::fold, x::fold] = image[:, c * fold**2 + y * fold + x]
    return result
