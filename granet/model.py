"""GraNet: Gradual Network for Single Image De-raining (Yu et al., ACM Multimedia 2019).

    I --coarse stage--> mask M,  I - M = coarse result --fine stage--> rain-free image

The coarse stage (section 3.2) extracts local features on three levels, each followed by a 2x2 max-pooling
that keeps its indices. It then returns through three region-aware non-local blocks, each followed by a
max-unpooling with those indices. The fine stage (section 3.3) is a chain of dense blocks, whose outputs a
merging block averages.

Both stages can compute on folded frames (``GraNetConfig.fold``), unlike those of the paper.

Shapes: N images, C channels, H x W pixels; P x h x w a folded picture, P = 3 fold^2 channels at 1/fold of
the sides (3 x H x W in the paper's network); r x c regions of h x w positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from granet.config import GraNetConfig

PAPER_GRIDS = (1, 2, 4)
"""Regions along each side for the blocks at 1/8, 1/4 and 1/2 scale (section 3.2)."""


class DenseBlock(nn.Module):
    """Figure 3: densely connected 3x3 convolutions, a 1x1 fusion, and a residual connection [8, 9]."""

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        """Widths as in :class:`GraNetConfig`."""
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(channels + i * growth, growth, 3, padding=1) for i in range(layers)
        )
        self.fusion = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> the same shape."""
        features = x
        for layer in self.layers:
            features = torch.cat([features, F.relu(layer(features))], dim=1)  # N x (C + i growth) x H x W
        fused: Tensor = self.fusion(features)
        return x + fused


class RegionAwareBlock(nn.Module):
    """Equation 6: the embedded-Gaussian non-local operation of [26] in each region, with a residual."""

    def __init__(self, channels: int, inner: int, grid: int, key_stride: int) -> None:
        """``grid``: regions along each side of a frame within the region extent."""
        super().__init__()
        self.grid = grid
        self.key_stride = key_stride
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        # [26], section 4.1: the block starts as the identity.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, growth: tuple[int, int]) -> Tensor:
        """N x C x H x W -> the same shape; ``growth``: paper grids along the height and the width."""
        rows, columns = self.grid * growth[0], self.grid * growth[1]
        attended = regional_attention(self.theta(x), self.phi(x), self.g(x), rows, columns, self.key_stride)
        out: Tensor = self.out(attended)
        return x + out


def regional_attention(
    theta: Tensor, phi: Tensor, g: Tensor, rows: int, columns: int, key_stride: int
) -> Tensor:
    """Equation 6, y_i = 1/C(x) sum_j exp(theta_i . phi_j) g_j: a softmax of unscaled dot products.

    Args:
        theta: queries, N x D x H x W.
        phi: keys, N x D x H x W.
        g: values, N x D x H x W.
        rows: regions along the height; must divide it.
        columns: regions along the width; must divide it.
        key_stride: stride of the max-pooling of keys and values in each region. Only whole windows count:
            the maximum over a part of a window is smaller on average, and crops in training need not have
            such parts. A region that is shorter than a window has one window, the region itself.

    Returns:
        N x D x H x W.
    """
    queries, keys, values = (split_regions(x, rows, columns) for x in (theta, phi, g))  # (N r c) x D x h x w
    if key_stride > 1:
        keys, values = _whole_windows(keys, key_stride), _whole_windows(values, key_stride)
    # (N r c) x 1 x (h w) x D; PyTorch does not materialise the whole score matrix.
    attended = F.scaled_dot_product_attention(_tokens(queries), _tokens(keys), _tokens(values), scale=1.0)
    attended = attended.squeeze(1).transpose(1, 2).reshape(queries.shape)  # (N r c) x D x h x w
    return join_regions(attended, rows, columns)


def _whole_windows(regions: Tensor, stride: int) -> Tensor:
    """B x D x h x w -> B x D x max(1, h // stride) x max(1, w // stride), maxima."""
    h, w = regions.shape[-2:]
    pooled = F.max_pool2d(regions, stride, ceil_mode=True)
    return pooled[..., : max(1, h // stride), : max(1, w // stride)]


def _tokens(regions: Tensor) -> Tensor:
    """B x D x h x w -> B x 1 x (h w) x D, the layout of attention with one head.

    Without ``contiguous``, PyTorch materialises the whole score matrix on a CPU: ``paper`` at 1080p then
    needs 13.7 GiB instead of 5.4.
    """
    return regions.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()


def split_regions(x: Tensor, rows: int, columns: int) -> Tensor:
    """N x D x H x W -> (N rows columns) x D x H/rows x W/columns: regions become the batch axis."""
    n, d, height, width = x.shape
    x = x.reshape(n, d, rows, height // rows, columns, width // columns)  # N x D x r x h x c x w
    return x.permute(0, 2, 4, 1, 3, 5).reshape(n * rows * columns, d, height // rows, width // columns)


def join_regions(regions: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of :func:`split_regions`: (N rows columns) x D x h x w -> N x D x H x W."""
    _, d, h, w = regions.shape
    x = regions.reshape(-1, rows, columns, d, h, w)  # N x r x c x D x h x w
    return x.permute(0, 3, 1, 4, 2, 5).reshape(-1, d, rows * h, columns * w)


class CoarseStage(nn.Module):
    """Section 3.2: maps the rainy (folded) image to a mask of coarse-grained rain streaks."""

    def __init__(self, config: GraNetConfig) -> None:
        """Builds the stage that ``config`` describes."""
        super().__init__()
        self.head = nn.Conv2d(config.picture_channels, config.channels, 3, padding=1)
        self.local = nn.ModuleList(
            DenseBlock(config.channels, config.growth, config.dense_layers) for _ in PAPER_GRIDS
        )
        self.region_aware = nn.ModuleList(
            RegionAwareBlock(config.channels, config.nonlocal_channels, grid, config.key_stride)
            for grid in (PAPER_GRIDS if config.region_aware else ())
        )
        self.mask = nn.Conv2d(config.channels, config.picture_channels, 3, padding=1)

    def forward(self, image: Tensor, growth: tuple[int, int]) -> Tensor:
        """N x P x h x w -> mask N x P x h x w."""
        x = F.relu(self.head(image))
        levels: list[tuple[Tensor, Tensor]] = []
        for block in self.local:
            local = block(x)  # F_L of equations 1 and 3: N x C x h/2^i x w/2^i
            x, indices = F.max_pool2d(local, 2, return_indices=True)  # F_pool, equations 2 and 3
            levels.append((local, indices))
        for depth, (local, indices) in enumerate(reversed(levels)):
            if self.region_aware:
                x = self.region_aware[depth](x, growth)
            x = F.max_unpool2d(x, indices, [2, 2]) + local  # equation 4, with the indices of that level
        mask: Tensor = self.mask(x)
        return mask


class MergingBlock(nn.Module):
    """Equations 7 and 8: k groups of C' channels vote, B = (A^1 + ... + A^k) / k.

    The groups are the outputs of the fine stage's dense blocks, from low level to high. They are added one by
    one instead of being concatenated to A: this gives the same sum with 1/k of the memory, so that 1080p fits
    on an edge device.
    """

    def forward(self, groups: list[Tensor]) -> Tensor:
        """A list of k tensors N x C' x H x W -> N x C' x H x W."""
        total = groups[0]
        for group in groups[1:]:
            total = total + group
        return total / len(groups)


class FineStage(nn.Module):
    """Section 3.3: unified contextual merging; maps the coarse result to the reconstruction."""

    def __init__(self, config: GraNetConfig) -> None:
        """Builds the stage that ``config`` describes."""
        super().__init__()
        self.head = nn.Conv2d(config.picture_channels, config.channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            DenseBlock(config.channels, config.growth, config.dense_layers)
            for _ in range(config.fine_blocks if config.context else 0)
        )
        self.merge = MergingBlock()
        self.reconstruct = nn.Conv2d(config.channels, config.picture_channels, 3, padding=1)

    def forward(self, coarse: Tensor) -> Tensor:
        """N x P x h x w -> N x P x h x w."""
        x = F.relu(self.head(coarse))
        groups = []
        for block in self.blocks:
            x = block(x)
            groups.append(x)
        reconstruction: Tensor = self.reconstruct(self.merge(groups) if groups else x)
        return reconstruction


class GraNet(nn.Module):
    """The whole network. Images are N x 3 x H x W, float, RGB, in [0, 1].

    H and W are at least 16 pixels, and at least 8 ``fold``.

    If the region grids do not divide the sides, the image is padded by reflection at the bottom and on the
    right, and the result is cropped (:mod:`granet.size_rule`). The output is not clamped.

    >>> import torch
    >>> from granet import GraNet, GraNetConfig
    >>> network = GraNet(GraNetConfig.lite()).eval()
    >>> with torch.inference_mode():
    ...     network(torch.rand(1, 3, 64, 96)).shape
    torch.Size([1, 3, 64, 96])

    Args:
        config: widths, depth and region size.
    """

    def __init__(self, config: GraNetConfig) -> None:
        """Builds the network that ``config`` describes, with PyTorch's default initialisation."""
        super().__init__()
        self.config = config
        self.coarse = CoarseStage(config)
        self.fine = FineStage(config) if config.fine_stage else None

    def forward(self, rainy: Tensor) -> Tensor:
        """Computes the rain-free image, N x 3 x H x W, RGB, unclamped.

        Raises:
            UserError: if a side is below 16 pixels, or below 8 ``fold``.
        """
        return self.forward_stages(rainy)[2]

    def forward_stages(self, rainy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Computes mask, coarse result and fine result (figures 6 and 7), each N x 3 x H x W.

        Without a fine stage (table 2), the fine result is the coarse result.

        Raises:
            UserError: if a side is below 16 pixels, or below 8 ``fold``.
        """
        height, width = rainy.shape[-2:]
        padded_height, padded_width = self.config.size_rule.padded_size(height, width)
        padding = (0, padded_width - width, 0, padded_height - height)
        image = F.pad(rainy, padding, mode="reflect") if any(padding) else rainy
        stages = self.stages_of_padded(image)
        mask, coarse, fine = (stage[..., :height, :width] for stage in stages)
        return mask, coarse, fine

    def stages_of_padded(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`forward_stages` for an image whose size the region grids divide."""
        mask, coarse, fine = self.folded_stages(
            F.pixel_unshuffle(image, self.config.fold), self.grid_growth(image)
        )
        unfold = nn.PixelShuffle(self.config.fold)
        return unfold(mask), unfold(coarse), unfold(fine)

    def folded_stages(self, image: Tensor, growth: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """The stages of a folded image, N x P x h x w each; ``growth`` comes from :meth:`grid_growth`."""
        mask = self.coarse(image, growth)
        coarse = image - mask
        if self.fine is None:
            return mask, coarse, coarse
        reconstruction = self.fine(coarse)
        return mask, coarse, coarse + reconstruction if self.config.residual_output else reconstruction

    def grid_growth(self, image: Tensor) -> tuple[int, int]:
        """Number of paper grids along the height and the width of ``image``."""
        rule = self.config.size_rule
        return rule.grid_growth(image.shape[-2]), rule.grid_growth(image.shape[-1])
