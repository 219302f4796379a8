"""Number format and memory layout of a training, chosen by measurement.

bfloat16 halves the time of a step on processors that support it (AMX, AVX512-BF16, any recent GPU) and
lengthens it where it is emulated. channels-last helps most processors, but not all.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]

GAIN = 0.9
"""Another way must need at most this share of the plain way's time."""

_REPEATS = 3


@dataclass(frozen=True)
class Compute:
    """A way to compute steps.

    Attributes:
        precision: number format of convolutions and matrix products; ``bf16`` is autocast, and the weights
            stay float32.
        channels_last: whether network and pictures have the channels-last memory layout.
    """

    precision: Precision = "fp32"
    channels_last: bool = False

    def __str__(self) -> str:
        """The way in words, for messages."""
        layout = "channels-last" if self.channels_last else "contiguous"
        return f"{'bfloat16' if self.precision == 'bf16' else 'float32'}, {layout}"

    def place(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Moves ``network`` to ``device`` and to this layout."""
        network = network.to(device)
        if not self.channels_last:
            return network
        return cast(nn.Module, network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    def image(self, pixels: Tensor, device: torch.device) -> Tensor:
        """Converts uint8 N x H x W x 3 to float N x 3 x H x W in [0, 1] on ``device``, in this layout."""
        image = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        # The permuted view is channels-last already.
        return image if self.channels_last else image.contiguous()

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context to run networks in."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")


PLAIN = Compute()
CANDIDATES = (PLAIN, Compute("fp32", True), Compute("bf16", True), Compute("bf16", False))


def fastest(
    network: nn.Module,
    pixels: Tensor,
    device: torch.device,
    candidates: Sequence[Compute] = CANDIDATES,
    preferred: Compute | None = None,
    total: Callable[[Sequence[float]], list[float]] = list,
    clock: Callable[[], float] | None = None,
) -> tuple[Compute, str]:
    """Measures a step, forward and backward, in each way and chooses one.

    Args:
        network: the network to train; it is not changed.
        pixels: a batch, uint8 N x H x W x 3.
        device: device of the training.
        candidates: the ways; the first is the plain one and wins unless another is faster by a tenth.
        preferred: the way in which the training began; it wins unless the plain one is faster.
        total: sums times over all processes of the training, so that all choose alike.
        clock: time in seconds (default: CPU time on a CPU, where other programs disturb it less).

    Returns:
        The chosen way, and a line with the measurements.
    """
    clock = clock or (time.process_time if device.type == "cpu" else time.perf_counter)
    times = total([_seconds(network, pixels, device, way, clock) for way in candidates])
    best = min(range(len(times)), key=times.__getitem__)
    chosen = best if times[best] < GAIN * times[0] else 0
    if preferred is not None and times[candidates.index(preferred)] <= times[0]:
        chosen = candidates.index(preferred)
    measured = ", ".join(
        f"{way} {1e3 * seconds:.0f} ms" for way, seconds in zip(candidates, times, strict=True)
    )
    return candidates[chosen], f"computing in {candidates[chosen]} (a step: {measured})"


def _seconds(
    network: nn.Module, pixels: Tensor, device: torch.device, way: Compute, clock: Callable[[], float]
) -> float:
    """Time of the fastest of a few steps, after a warm-up step."""
    model = way.place(copy.deepcopy(network), device).train()
    image = way.image(pixels, device)
    times = []
    for _ in range(1 + _REPEATS):
        start = clock()
        with way.autocast(device):
            result = model(image)
        result.float().abs().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - start)
    return min(times[1:])
