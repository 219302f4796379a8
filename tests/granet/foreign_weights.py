"""Weights as other programs save them, and how the tests compare them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from granet import GraNet, GraNetConfig, load_checkpoint

CONFIG = GraNetConfig(channels=6, growth=3, dense_layers=2, nonlocal_channels=5, fine_blocks=3)
State = dict[str, Tensor]


def weights(seed: int = 1, config: GraNetConfig = CONFIG) -> State:
    torch.manual_seed(seed)
    return GraNet(config).state_dict()


def loaded(content: Any, folder: Path) -> GraNet:
    torch.save(content, folder / "foreign.pt")
    return load_checkpoint(folder / "foreign.pt")


def same(model: GraNet, state: State) -> bool:
    found = model.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}
