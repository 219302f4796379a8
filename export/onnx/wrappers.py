"""What is exported: the network, with its inputs and outputs as an edge device has them."""

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
    mask and the addition of the reconstruction stay float32. float16 holds 11 bits: a picture kept
    in it would be off by up to an eighth of a grey level, where mask and reconstruction, being
    small, lose far less.
    """

    def __init__(self, model: GraNet, dtype: torch.dtype) -> None:
        """``model`` is copied; the copy's regional attention is one operator."""
        super().__init__()
        self.dtype = dtype
        self.network = copy.deepcopy(model).to(dtype).eval()
        blocks = self.network.coarse.region_aware
        for index, block in enumerate(blocks):
            if isinstance(block, RegionAwareBlock):
                blocks[index] = TranslatableRegionAwareBlock(block, model.config)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """N x 3 x H x W float32 in [0, 1] -> mask, coarse, fine in float32.

        As :meth:`granet.GraNet.stages_of_padded`; the tests hold the two together.
        """
        network, fold = self.network, self.network.config.fold
        image = F.pixel_unshuffle(image, fold) if fold > 1 else image
        # The growth of the grid is read off the shapes by the attention operator.
        mask = network.coarse(image.to(self.dtype), (1, 1)).float()
        coarse = fine = image - mask
        if network.fine is not None:
            reconstruction = network.fine(coarse.to(self.dtype)).float()
            fine = coarse + reconstruction if network.config.residual_output else reconstruction
        if fold == 1:
            return mask, coarse, fine
        return F.pixel_shuffle(mask, fold), F.pixel_shuffle(coarse, fold), F.pixel_shuffle(fine, fold)


class TensorGraph(nn.Module):
    """Layout ``tensor``: float32 N x 3 x H x W, RGB, in [0, 1]; outputs unclamped."""

    def __init__(self, stages: ExportedStages, all_stages: bool) -> None:
        """``all_stages``: mask and coarse result come out beside the rain-free image."""
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
    """

    def __init__(self, stages: ExportedStages, colour: Colour, all_stages: bool) -> None:
        """``colour``: channel order of the frames."""
        super().__init__()
        self.tensors = TensorGraph(stages, all_stages)
        self.register_buffer("order", torch.tensor([0, 1, 2] if colour == "rgb" else [2, 1, 0]))

    def forward(self, rainy: Tensor) -> tuple[Tensor, ...]:
        """uint8 N x H x W x 3 -> rain-free (, mask, coarse), each uint8 N x H x W x 3."""
        image = self._reordered(rainy.float().permute(0, 3, 1, 2)) / 255  # N x 3 x H x W, RGB
        return tuple(self._frames(output) for output in self.tensors(image))

    def _frames(self, image: Tensor) -> Tensor:
        levels = torch.round(image * 255).clamp(0, 255)
        return self._reordered(levels).permute(0, 2, 3, 1).to(torch.uint8)

    def _reordered(self, image: Tensor) -> Tensor:
        """RGB to the frames' order, or back: either way the same reversal, or none."""
        return image.index_select(1, self.get_buffer("order"))
