"""Gives new weights to silent channels: those behind a ReLU that are 0 on every picture.

No gradient reaches the weights of such a channel, so it stays silent, and the network learns with fewer
channels than it computes (Lu et al., "Dying ReLU and initialization", 2019). The new weights leave the
network's results on those pictures as they are: nothing reads the channel at first, and learning decides
what does.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from granet.model import CoarseStage, DenseBlock, FineStage, GraNet

PICTURES = 512
"""Pictures on which a channel must be 0 everywhere to count as silent."""

DEFAULT_NORM = 3**-0.5
"""Norm of PyTorch's initial weights of a channel, for a convolution in which all channels are silent."""


def revive(network: GraNet, pictures: Iterable[Tensor], seed: int) -> tuple[int, int]:
    """Gives new weights to the silent channels of ``network``, which is modified.

    Args:
        network: the network; its results on ``pictures`` stay the same, but for rounding.
        pictures: rainy pictures, N x 3 x H x W, float32, RGB, in [0, 1], on the device of the network.
        seed: random seed of the new weights.

    Returns:
        The number of revived channels, and that of all channels behind a ReLU.
    """
    largest = _largest(network, pictures)
    random = torch.Generator().manual_seed(seed)
    revived = total = 0
    for stage in _stages(network):
        for layer, first, readers in _channels(stage):
            silent = torch.nonzero(largest[layer] <= 0).flatten().cpu()
            revived, total = revived + len(silent), total + layer.out_channels
            if not len(silent):
                continue
            _renew(layer, silent, random)
            for reader in readers:
                reader.weight.data[:, first + silent] = 0
            blocks = _blocks(stage)
            if layer is stage.head and blocks:
                # The block adds its input to its result: at first its fusion subtracts the new channels.
                blocks[0].fusion.weight.data[silent, silent] = -1
    return revived, total


def _largest(network: GraNet, pictures: Iterable[Tensor]) -> dict[nn.Conv2d, Tensor]:
    """The largest value of each channel of the convolutions before a ReLU, over all pictures."""
    found: dict[nn.Conv2d, Tensor] = {}

    def observe(layer: nn.Module, _: object, result: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        values = result.amax(dim=(0, 2, 3))
        found[layer] = torch.maximum(found[layer], values) if layer in found else values

    layers = [layer for stage in _stages(network) for layer, _, _ in _channels(stage)]
    hooks = [layer.register_forward_hook(observe) for layer in layers]
    try:
        with torch.no_grad():
            for picture in pictures:
                network(picture)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _stages(network: GraNet) -> list[CoarseStage | FineStage]:
    return [network.coarse] if network.fine is None else [network.coarse, network.fine]


def _blocks(stage: CoarseStage | FineStage) -> list[DenseBlock]:
    modules = stage.local if isinstance(stage, CoarseStage) else stage.blocks
    return [module for module in modules if isinstance(module, DenseBlock)]


def _channels(stage: CoarseStage | FineStage) -> Iterator[tuple[nn.Conv2d, int, list[nn.Conv2d]]]:
    """The convolutions before a ReLU, with those that read their channels, and the first channel there."""
    blocks = _blocks(stage)
    if blocks:
        yield stage.head, 0, [*_layers(blocks[0]), blocks[0].fusion]
    elif isinstance(stage, FineStage):
        yield stage.head, 0, [stage.reconstruct]
    for block in blocks:
        layers = _layers(block)
        for number, layer in enumerate(layers):
            yield layer, layer.in_channels, [*layers[number + 1 :], block.fusion]


def _layers(block: DenseBlock) -> list[nn.Conv2d]:
    return [layer for layer in block.layers if isinstance(layer, nn.Conv2d)]


def _renew(layer: nn.Conv2d, channels: Tensor, random: torch.Generator) -> None:
    """New weights that sum to 0 over each kernel, of the norm of the other channels.

    Such a channel answers to edges alone, so that it is above 0 somewhere in every picture, however bright.
    """
    weight = layer.weight.data
    others = torch.ones(len(weight), dtype=torch.bool)
    others[channels] = False
    norm = weight[others].flatten(1).norm(dim=1).median().item() if others.any() else DEFAULT_NORM
    new = torch.randn((len(channels), *weight.shape[1:]), generator=random)
    new -= new.mean(dim=(2, 3), keepdim=True)
    new *= norm / new.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    weight[channels] = new.to(weight)
    if layer.bias is not None:
        layer.bias.data[channels] = 0
