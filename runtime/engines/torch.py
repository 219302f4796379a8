"""PyTorch: runs a checkpoint without an export. The reference for every other engine.

This is the only module of the runtime that imports torch.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from granet import load_checkpoint
from granet.errors import UserError
from granet.weights.renames import Rename
from runtime.engines.base import EngineInfo, GraphEngine
from runtime.engines.device import Device
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour, Pixels


class TorchEngine(GraphEngine):
    """Runs a checkpoint in PyTorch, in eager mode and float32."""

    def __init__(self, path: Path, device: Device, colour: Colour, renames: Sequence[Rename] = ()) -> None:
        """Loads ``path`` on ``device``: ``auto``, ``cpu`` or ``cuda``; ``renames`` map its names.

        Raises:
            UserError: if the file is not a checkpoint, or CUDA was requested and is not available.
        """
        device = _checked(device)
        network = load_checkpoint(path, renames)
        self._device = torch.device(str(device))
        # Frames arrive channels-last. In that layout oneDNN is a fifth faster, and where values tie its
        # results are closer to float64 than those of the default layout (CONTRIBUTING.md).
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        fit = FrameFit(network.config.size_rule)
        description = f"torch {torch.__version__} on {device}: {path.name}, fp32, {fit}, {colour}"
        self.info = EngineInfo("torch", str(device), path.name, "fp32", colour, fit, description)

    @torch.inference_mode()
    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        frames = torch.tensor(batch, device=self._device)  # copy: batch may be read-only
        with _full_float32(self._device):
            rainy = self._in_order(frames.permute(0, 3, 1, 2))  # N x 3 x H x W, RGB
            rainy = rainy.contiguous(memory_format=torch.channels_last)
            image = self._network(rainy.float() / 255)
        levels = (image * 255).round().clamp(0, 255).to(torch.uint8)
        pixels: Pixels = self._in_order(levels).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return (pixels,)

    def _in_order(self, image: Tensor) -> Tensor:
        """Converts N x 3 x H x W from the frames' colour order to RGB, or back."""
        return image.flip(1) if self.info.colour == "bgr" else image


def _full_float32(device: torch.device) -> Any:
    """Turns off TF32, which cuDNN uses by default and which keeps 10 of float32's 23 mantissa bits."""
    if device.type == "cpu":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _checked(device: Device) -> Device:
    if device.kind in ("gpu", "npu"):
        raise UserError(f"torch does not support device {device}: export the model, use --backend openvino")
    if device.kind == "cpu" or (device.kind == "auto" and not torch.cuda.is_available()):
        return Device("cpu")
    if not torch.cuda.is_available():
        built = torch.version.cuda
        missing = "a build of torch with CUDA (pytorch.org)" if built is None else "an NVIDIA driver and GPU"
        raise UserError(f"device {device}: torch {torch.__version__} finds no CUDA: it needs {missing}")
    if device.index >= torch.cuda.device_count():
        raise UserError(
            f"device {device}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0"
        )
    return Device("cuda", device.index)
