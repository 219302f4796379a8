"""Converts checkpoints of other programs to our form: plain float32 weights by name.

Training scripts nest weights in dictionaries, keep an average beside them, prefix their names and save the
weights of a loss with them. This module finds the network among them, prefers the average, and removes the
prefixes. If there is no configuration, it infers one from the shapes of the weights. A file may be hostile:
this module trusts no count, size or nesting depth that the file states.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from granet.app.console import UsageError
from granet.config import GraNetConfig
from granet.errors import UserError
from granet.weights.inert import items_of
from granet.weights.mismatch import CONVERT, another_network, listed, shortened
from granet.weights.renames import Rename

State = dict[str, Tensor]

# Keys under which training scripts store weights.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model", "params", "network", "net", "weights", "generator",
)  # fmt: skip
_AVERAGE_WORDS = {"ema", "swa", "averaged", "average", "shadow"}
"""Words in the keys of averages, such as ``params_ema``, which are better than the weights beside them."""
_OPTIMISER_WORDS = {
    "optim",
    "optimizer",
    "optimizers",
    "optimiser",
    "scheduler",
    "scaler",
    "grads",
    "gradients",
}
"""Words in the keys of what may have tensors by the names of weights, and is not weights."""
_DEEPEST_WRAPPER = 3
_MOST_WRAPPERS = 100
# DataParallel and AveragedModel; torch.compile; fully sharded and checkpointed modules.
_TRANSPARENT = {
    "module", "_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module",
    "_forward_module",
}  # fmt: skip
# Attributes under which scripts keep a part of a network.
_HOLDERS = _TRANSPARENT | {"model", "net", "network", "generator"}
_AVERAGES = {"ema", "ema_model", "model_ema", "averaged_model", "shadow"}
_OURS = re.compile(
    r"(|.*?\.)((?:coarse\.(?:head|local|region_aware|mask)|fine\.(?:head|blocks|reconstruct))\..+)", re.DOTALL
)
_CONVOLUTION = 4
"""Axes of the weights of a convolution."""

_FIRST_LITE = GraNetConfig(channels=16, growth=8, nonlocal_channels=16, key_stride=4)
"""The preset ``lite`` of versions without folded frames."""


@dataclass(frozen=True)
class NamedWeights:
    """The weights of a file by the names of GraNet.

    Attributes:
        state: the network; empty if no name is one of GraNet's.
        left_out: names of all other tensors.
        shapes: shapes of all tensors of the file, by the names without wrappers and renames.
    """

    state: State
    left_out: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]


def named_weights(content: Mapping[Any, Any], renames: Sequence[Rename] = ()) -> NamedWeights:
    """Finds the network in the content of a file.

    Args:
        content: content of the file, including wrappers.
        renames: applied to names as they are in the file or without their wrappers; the first that matches
            a name renames it.

    Raises:
        UsageError: if one of ``renames`` matches no name.
        UserError: if there are no weights, or two sets of them.
    """
    tensors = _weights_in(content)
    if not tensors:
        raise UserError("it holds no tensors: this is not a checkpoint of GraNet")
    shapes = {_plain(name): tuple(value.shape) for name, value in tensors.items()}
    named = _renamed(tensors, renames)
    by_root = _by_root(named, _TRANSPARENT) or _by_root(named, _HOLDERS)
    ours = by_root[_chosen_root(list(by_root), renamed=bool(renames))] if by_root else {}
    state = {plain: named[name] for plain, name in ours.items()}
    taken = set(ours.values())
    return NamedWeights(state, tuple(_plain(name) for name in named if name not in taken), shapes)


def check_plain(state: State, most_bytes: int) -> None:
    """Refuses tensors that are not weights, before anything reads them.

    Args:
        state: the weights by GraNet's names.
        most_bytes: largest total size of the tensors: a view of one number may claim to be a terabyte.

    Raises:
        UserError: names the tensor.
    """
    for name, value in state.items():
        if not value.is_floating_point() or value.layout != torch.strided or value.device.type != "cpu":
            raise UserError(f"{name} does not consist of plain floating-point weights ({value.dtype})")
    if sum(value.numel() * value.element_size() for value in state.values()) > most_bytes:
        raise UserError("its tensors claim to be larger than the file: it is damaged or hostile")


def plain_weights(state: State) -> State:
    """Checked weights in our form: float32, contiguous, finite, on the CPU.

    Raises:
        UserError: if one is not finite.
    """
    state = {name: value.detach().float().contiguous() for name, value in state.items()}
    for name, value in state.items():
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"{name} holds NaN or infinite values: the training diverged; use an earlier one")
    return state


def _weights_in(content: Mapping[Any, Any], depth: int = 0) -> State:
    """The tensors of an average with a GraNet, or else of the only mapping with one: perhaps ``content``.

    Without a GraNet, the first tensors that there are. Counters (``n_averaged``, ``num_batches_tracked``) are
    scalars and are left out.
    """
    items = dict(items_of(content))
    own = {str(name): value for name, value in items.items() if _is_weight(value)}
    wrapped = _wrapped_in(items) if depth < _DEEPEST_WRAPPER else {}
    found = {key: _weights_in(value, depth + 1) for key, value in wrapped.items()}
    networks = {key: state for key, state in found.items() if _has_granet(state)}
    average = next((state for key, state in networks.items() if _is_average(key)), None)
    if average is not None:
        return average
    if _has_granet(own):
        networks["the weights beside it"] = own
    _require_one(networks)
    usual = [found[key] for key in _WRAPPERS if key in found]
    return next(iter(networks.values()), None) or next(filter(None, [*usual, own]), {})


def _wrapped_in(items: Mapping[Any, Any]) -> dict[str, Mapping[Any, Any]]:
    """The mappings among ``items``, those with usual names first: a wrapper's name is anybody's choice."""
    found = {
        str(key): value
        for key, value in items.items()
        if isinstance(value, Mapping) and _OPTIMISER_WORDS.isdisjoint(_words(str(key)))
    }
    usual = [key for key in _WRAPPERS if key in found]
    return {key: found[key] for key in dict.fromkeys([*usual, *list(found)[:_MOST_WRAPPERS]])}


def _is_average(key: str) -> bool:
    return not _AVERAGE_WORDS.isdisjoint(_words(key))


def _words(key: str) -> list[str]:
    return re.split("[^a-z]+", key.lower())


def _require_one(networks: Mapping[str, State]) -> None:
    """Refuses different weights under several keys; the same tensors may have several names."""
    places = {tuple(sorted(value.data_ptr() for value in state.values())) for state in networks.values()}
    if len(places) > 1:
        raise _two_sets(listed(list(networks)))


def _is_weight(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _has_granet(state: State) -> bool:
    return any(_OURS.fullmatch(_plain(name)) for name in state)


def _plain(name: str, holders: set[str] = _TRANSPARENT) -> str:
    """``name`` without the parts that wrappers put before, between and behind the parts of a network."""
    return ".".join(part for part in name.split(".") if part not in holders)


def _renamed(tensors: State, renames: Sequence[Rename]) -> State:
    found: State = {}
    unused = list(renames)
    for name, value in tensors.items():
        new = name
        for rename in renames:
            mapped = rename.apply(name)
            mapped = rename.apply(_plain(name)) if mapped is None else mapped
            if mapped is not None:
                new = mapped
                unused = [each for each in unused if each != rename]
                break
        if new in found:
            raise _two_sets(f"{new} occurs twice")
        found[new] = value
    if unused:
        raise UsageError(f"{unused[0]} matches none of its names, which are {listed(sorted(tensors))}")
    return found


def _by_root(names: Collection[str], holders: set[str]) -> dict[str, dict[str, str]]:
    """Root -> GraNet's name -> name, for each place in the file where a GraNet is."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        match = _OURS.fullmatch(_plain(name, holders))
        if match is None:
            continue
        ours = found.setdefault(match[1], {})
        if match[2] in ours:
            raise _two_sets(f"{shortened(ours[match[2]])} and {shortened(name)}")
        ours[match[2]] = name
    return found


def _chosen_root(roots: list[str], *, renamed: bool) -> str:
    """The average, or else the network that no prefix makes a part of another one.

    A rename that removes a prefix is the user's choice.
    """
    averages = [root for root in roots if _AVERAGES & set(root.split("."))]
    if len(averages) == 1 and not (renamed and "" in roots):
        return averages[0]
    if len(roots) == 1 or "" in roots:
        return "" if "" in roots else roots[0]
    names = [root.rstrip(".") for root in roots]
    raise _two_sets(listed(names), f"{CONVERT} --map {names[0]}= chooses one")


def _two_sets(what: str, remedy: str = "save the one to use") -> UserError:
    return UserError(f"it holds two sets of weights ({what}): {remedy}")


def config_of_shapes(state: State, left_out: Sequence[str] = ()) -> GraNetConfig:
    """Infers the configuration from the names and shapes of ``state``.

    Other settings get their defaults, except the key stride: a network with the widths of a preset gets that
    of the preset. No network is built, so this takes no more memory than ``state``.

    Args:
        state: weights by GraNet's names.
        left_out: other names of the file, for the error.

    Raises:
        UserError: if ``state`` is of another network.
    """
    needed = ("coarse.head.weight", "coarse.local.0.layers.0.weight")
    if any(name not in state or state[name].ndim != _CONVOLUTION for name in needed):
        raise another_network(state.keys(), left_out)
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
            f"a checkpoint of another network: coarse.head.weight takes {channels} channels, "
            "but pictures have 3, or 12 if folded 2x2"
        )
    return fold


def _count(state: State, prefix: str) -> int:
    """Number of modules in the list that ``prefix`` names."""
    depth = prefix.count(".")
    return len({name.split(".")[depth] for name in state if name.startswith(prefix)})
