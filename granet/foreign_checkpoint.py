"""Converts checkpoints of other programs to our form: plain float32 weights by name.

Training scripts nest weights in wrappers, keep an average beside them, and prefix their names. This module
opens the wrappers, prefers the average and removes the prefixes. If there is no configuration, it infers one
from the shapes of the weights. A file may be hostile: this module trusts no count, size or nesting depth that
the file states.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from granet.config import GraNetConfig
from granet.errors import UserError

State = dict[str, Tensor]

# Keys under which training scripts store weights; averages first, because they are better.
_WRAPPERS = (
    "params_ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema", "shadow",
    "state_dict", "model_state_dict", "model", "params", "network", "net", "weights",
)  # fmt: skip
_DEEPEST_WRAPPER = 3
# DataParallel and AveragedModel; torch.compile; Lightning and training scripts; ema-pytorch.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "ema_model.", "online_model.")
_AVERAGE = "ema_model."
_FIRST_LITE = GraNetConfig(channels=16, growth=8, nonlocal_channels=16, key_stride=4)
"""The preset ``lite`` of versions without folded frames."""


def canonical_state(content: Mapping[Any, Any], most_bytes: int) -> State:
    """Extracts the parameters by GraNet's names: float32, contiguous, finite, on the CPU.

    Args:
        content: content of the file, including wrappers.
        most_bytes: largest total size of the tensors; a view of one number that claims to be a terabyte is
            refused before anything reads it.

    Raises:
        UserError: if there are no weights, or no network can have them.
    """
    tensors = _weights_in(content)
    averaged = {name: value for name, value in tensors.items() if name.startswith(_AVERAGE)}
    state: State = {}
    for name, value in (averaged or tensors).items():
        plain = _without_prefixes(name)
        if plain in state:
            raise UserError(f"it holds two sets of weights ({name} occurs twice): save the one to use")
        state[plain] = value
    if not state:
        raise UserError("it holds no tensors: this is not a checkpoint of GraNet")
    for name, value in state.items():
        if not value.is_floating_point() or value.layout != torch.strided or value.device.type != "cpu":
            raise UserError(f"{name} does not consist of plain floating-point weights ({value.dtype})")
    if sum(value.numel() * value.element_size() for value in state.values()) > most_bytes:
        raise UserError("its tensors claim to be larger than the file: it is damaged or hostile")
    state = {name: value.detach().float().contiguous() for name, value in state.items()}
    for name, value in state.items():
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"{name} holds NaN or infinite values: the training diverged; use an earlier one")
    return state


def _weights_in(content: Mapping[Any, Any], depth: int = 0) -> State:
    """The tensors of the first wrapper that has any, otherwise those of ``content`` itself.

    Counters (``n_averaged``, ``num_batches_tracked``) are scalars and are left out.
    """
    inner = [content.get(key) for key in _WRAPPERS] if depth < _DEEPEST_WRAPPER else []
    for wrapped in inner:
        found = _weights_in(wrapped, depth + 1) if isinstance(wrapped, Mapping) else None
        if found:
            return found
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor) and value.ndim}


def _without_prefixes(name: str) -> str:
    while True:
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            return name
        name = name.removeprefix(prefix)


def config_of_shapes(state: State) -> GraNetConfig:
    """Infers the configuration from the names and shapes of ``state``.

    Other settings get their defaults, except the key stride: a network with the widths of a preset gets that
    of the preset. No network is built, so this takes no more memory than ``state``.

    Raises:
        UserError: if ``state`` is of another network.
    """
    for name in ("coarse.head.weight", "coarse.local.0.layers.0.weight"):
        if name not in state:
            raise UserError(f"this is a checkpoint of another network: it has no {name}")
    default = GraNetConfig()
    theta = state.get("coarse.region_aware.0.theta.weight")
    fine_stage, fine_blocks = "fine.head.weight" in state, _count(state, "fine.blocks.")
    inferred = GraNetConfig(
        fold=_fold(state["coarse.head.weight"]),
        channels=state["coarse.head.weight"].shape[0],
        growth=state["coarse.local.0.layers.0.weight"].shape[0],
        dense_layers=_count(state, "coarse.local.0.layers."),
        nonlocal_channels=default.nonlocal_channels if theta is None else theta.shape[0],
        fine_blocks=fine_blocks or default.fine_blocks,
        region_aware=theta is not None,
        fine_stage=fine_stage,
        context=fine_blocks > 0 or not fine_stage,
    )
    widths = ("fold", "channels", "growth", "dense_layers", "nonlocal_channels")
    for preset in (GraNetConfig.lite(), GraNetConfig.base(), _FIRST_LITE):
        if all(getattr(inferred, width) == getattr(preset, width) for width in widths):
            return replace(inferred, key_stride=preset.key_stride)
    return inferred


def _fold(head: Tensor) -> int:
    """Infers the fold of a network from its first convolution, which takes 3 fold^2 channels."""
    channels = head.shape[1]
    fold = isqrt(channels // 3)
    if 3 * fold**2 != channels:
        raise UserError(
            f"this is a checkpoint of another network: coarse.head.weight takes {channels} channels, "
            "but pictures have 3, or 12 if folded 2x2"
        )
    return fold


def _count(state: State, prefix: str) -> int:
    """Number of modules in the list that ``prefix`` names."""
    depth = prefix.count(".")
    return len({name.split(".")[depth] for name in state if name.startswith(prefix)})
