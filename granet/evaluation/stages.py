"""The stages of a network as pictures: mask, coarse and fine result (figures 6 and 7)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from granet.checkpoint import load_checkpoint
from granet.data.image_files import Pixels
from granet.evaluation.scoring import Stages
from granet.weights.renames import Rename


def open_stages(
    path: Path, device: str = "cpu", renames: Sequence[Rename] = ()
) -> Callable[[Pixels], Stages]:
    """Loads a checkpoint to compute the stages of its network.

    Args:
        path: the checkpoint.
        device: ``cpu``, or an available ``cuda`` or ``cuda:N``.
        renames: names of the weights of a checkpoint of another program.

    Returns:
        A function from a rainy picture, uint8 H x W x 3, RGB, to mask, coarse and fine result. Levels are
        rounded half to even and clamped to [0, 255], as in an engine.

    Raises:
        UserError: if the file is not a checkpoint of GraNet.
    """
    network = load_checkpoint(path, renames)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def stages(rainy: Pixels) -> Stages:
        image = torch.tensor(rainy, device=device).permute(2, 0, 1)[None].float() / 255  # 1 x 3 x H x W
        # On CUDA, cuDNN convolutions would use TF32, which keeps 10 of float32's 23 bits.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            outputs = network.forward_stages(image.contiguous(memory_format=torch.channels_last))
        mask, coarse, fine = (
            np.ascontiguousarray(
                (output[0] * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
            )
            for output in outputs
        )
        return mask, coarse, fine

    return stages
