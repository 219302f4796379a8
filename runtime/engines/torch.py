"""PyTorch: a checkpoint as it is, without an export. The reference that every other engine is held against.

The only module of the runtime that imports torch.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from granet import load_checkpoint
from granet.errors import UserError
from runtime.engines.base import Engine, EngineInfo
from runtime.engines.device import Device
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour, Pixels


class TorchEngine(Engine):
    """A checkpoint in PyTorch, eagerly, in float32."""

    def __init__(self, path: Path, device: Device, colour: Colour) -> None:
        """Loads ``path`` on ``device``: ``auto``, ``cpu`` or ``cuda``.

        Raises:
            UserError: if the file is no checkpoint, or CUDA was asked for and is not to be had.
        """
        device = _checked(device)
        network = load_checkpoint(path)
        self._device = torch.device(str(device))
        # Frames are channels-last as they come. In that layout oneDNN is a fifth faster, and where values
        # tie its results are nearer to float64 than those of the default layout (CONTRIBUTING.md).
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        fit = FrameFit(network.config.size_rule)
        description = f"torch {torch.__version__} on {device}: {path.name}, fp32, {fit}, {colour}"
        self.info = EngineInfo("torch", str(device), path.name, "fp32", colour, fit, description)

    @torch.inference_mode()
    def _infer(self, batch: Pixels) -> Pixels:
        frames = torch.tensor(batch, device=self._device)  # a copy: batch may be read-only
        with _full_float32(self._device):
            rainy = self._in_order(frames.permute(0, 3, 1, 2))  # N x 3 x H x W, RGB
            rainy = rainy.contiguous(memory_format=torch.channels_last)
            image = self._network(rainy.float() / 255)
        levels = (image * 255).round().clamp(0, 255).to(torch.uint8)
        pixels: Pixels = self._in_order(levels).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return pixels

    def _in_order(self, image: Tensor) -> Tensor:
        """N x 3 x H x W from the frames' colour order to RGB, or back."""
        return image.flip(1) if self.info.colour == "bgr" else image


def _full_float32(device: torch.device) -> Any:
    """On CUDA, cuDNN convolutions use TF32 by default, which keeps 10 of float32's 23 bits."""
    if device.type == "cpu":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _checked(device: Device) -> Device:
    if device.kind in ("gpu", "npu"):
        raise UserError(f"torch has no device {device} here: export the model and use --backend openvino")
    if device.kind == "cpu" or (device.kind == "auto" and not torch.cuda.is_available()):
        return Device("cpu")
    if not torch.cuda.is_available():
        built = torch.version.cuda
        missing = "a build of torch with CUDA (pytorch.org)" if built is None else "an NVIDIA driver and GPU"
        raise UserError(f"device {device}: torch {torch.__version__} finds no CUDA here; it needs {missing}")
    if device.index >= torch.cuda.device_count():
        raise UserError(
            f"device {device}: there are {torch.cuda.device_count()} CUDA devices, counted from 0"
        )
    return Device("cuda", device.index)
