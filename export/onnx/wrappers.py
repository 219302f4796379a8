"""The modules to export: the network with the inputs and outputs of an edge device."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.onnx.regional_attention import TranslatableRegionAwareBlock
from granet.model import GraNet, RegionAwareBlock
from runtime.media.frame import Colour


class ExportedStages(nn.Module):
    """The three stages of a copy of the network, in float32 or float16.

    In float16 both stages compute in half precision, but the picture itself, the subtraction of the
    mask and the addition of the reconstruction stay float32. float16 has 11 bits: a picture in
    it would be off by up to an eighth of a grey level; mask and reconstruction are small and lose far
    less.
    """

    def __init__(self, model: GraNet, dtype: torch.dtype) -> None:
        """Copies ``model``; regional attention becomes one operator in the copy."""
        super().__init__()
        self.dtype = dtype
        self.network = copy.deepcopy(model).to(dtype).eval()
        blocks = self.network.coarse.region_aware
        for index, block in enumerate(blocks):
            if isinstance(block, RegionAwareBlock):
                blocks[index] = TranslatableRegionAwareBlock(block, model.config)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """N x 3 x H x W float32 in [0, 1] -> mask, coarse, fine in float32.

        Equals :meth:`granet.GraNet.stages_of_padded`, as the tests check.
        """
        fold = self.network.config.fold
        if fold == 1:
            return self.folded(image)
        mask, coarse, fine = self.folded(F.pixel_unshuffle(image, fold))
        return F.pixel_shuffle(mask, fold), F.pixel_shuffle(coarse, fold), F.pixel_shuffle(fine, fold)

    def folded(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The stages of a folded image, N x P x h x w each, P = 3 fold^2."""
        network = self.network
        # The attention operator derives the growth of the grid from the shapes.
        mask = network.coarse(image.to(self.dtype), (1, 1)).float()
        coarse = fine = image - mask
        if network.fine is not None:
            reconstruction = network.fine(coarse.to(self.dtype)).float()
            fine = coarse + reconstruction if network.config.residual_output else reconstruction
        return mask, coarse, fine

    @torch.no_grad()
    def with_channel_order(self, order: Tensor) -> "ExportedStages":
        """A copy whose :meth:`folded` takes and returns channels in another order.

        It reorders the weights of the first and last convolutions instead of the picture.

        Args:
            order: position in PyTorch's folded picture of each of the P channels.
        """
        stages = copy.deepcopy(self)
        parts = [(stages.network.coarse.head, stages.network.coarse.mask)]
        if stages.network.fine is not None:
            parts.append((stages.network.fine.head, stages.network.fine.reconstruct))
        for first, last in parts:
            first.weight.copy_(first.weight[:, order])
            last.weight.copy_(last.weight[order])
            if last.bias is not None:
                last.bias.copy_(last.bias[order])
        return stages


class TensorGraph(nn.Module):
    """Layout ``tensor``: float32 N x 3 x H x W, RGB, in [0, 1]; outputs unclamped."""

    def __init__(self, stages: ExportedStages, all_stages: bool) -> None:
        """``all_stages``: whether to output mask and coarse result too."""
        super().__init__()
        self.stages = stages
        self.all_stages = all_stages

    def forward(self, rainy: Tensor) -> tuple[Tensor, ...]:
        """N x 3 x H x W -> rain-free (, mask, coarse)."""
        mask, coarse, fine = self.stages(rainy)
        return (fine, mask, coarse) if self.all_stages else (fine,)


class FramesGraph(nn.Module):
    """Layout ``frames``: uint8 N x H x W x 3 in and out; conversion, rounding and clamping inside.

    A level is round(255 x) clamped to [0, 255], halves to even, as ``torch.round`` and ONNX do.

    One transposition folds the frame and brings its channels together. They stay in the frame's own
    order, (row, column, colour) of each ``fold`` x ``fold`` square, because the weights of the convolutions
    at both ends are reordered to match: the graph neither gathers colours nor shuffles pixels of floats.
    """

    def __init__(self, stages: ExportedStages, colour: Colour, all_stages: bool) -> None:
        """``stages`` is copied; ``colour``: channel order of the frames."""
        super().__init__()
        self.fold = stages.network.config.fold
        self.stages = stages.with_channel_order(_frame_order(self.fold, colour))
        self.all_stages = all_stages

    def forward(self, rainy: Tensor) -> tuple[Tensor, ...]:
        """uint8 N x H x W x 3 -> rain-free (, mask, coarse), each uint8 N x H x W x 3."""
        n, height, width, _ = rainy.shape
        f = self.fold
        # TensorRT can only cast bytes, so they become floats before they move.
        squares = rainy.float().reshape(n, height // f, f, width // f, f, 3)  # N x h x f x w x f x 3
        picture = squares.permute(0, 2, 4, 5, 1, 3).reshape(n, 3 * f**2, height // f, width // f)
        mask, coarse, fine = self.stages.folded(picture / 255)  # N x 3 f^2 x h x w
        outputs = (fine, mask, coarse) if self.all_stages else (fine,)
        return tuple(self._frames(output) for output in outputs)

    def _frames(self, picture: Tensor) -> Tensor:
        n, _, h, w = picture.shape
        f = self.fold
        levels = torch.round(picture * 255).clamp(0, 255)
        squares = levels.reshape(n, f, f, 3, h, w).permute(0, 4, 1, 5, 2, 3)  # N x h x f x w x f x 3
        return squares.reshape(n, h * f, w * f, 3).to(torch.uint8)


def _frame_order(fold: int, colour: Colour) -> Tensor:
    """Position in PyTorch's folded RGB picture of each channel (row, column, colour) of a folded frame."""
    folded = torch.arange(3 * fold**2).reshape(3, fold, fold)  # pixel_unshuffle: colour, row, column
    folded = folded if colour == "rgb" else folded.flip(0)
    return folded.permute(1, 2, 0).reshape(-1)
