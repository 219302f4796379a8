"""Weights as the training scripts of others save them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from granet import GraNet, GraNetConfig, load_checkpoint
from granet.errors import UserError
from granet.foreign_checkpoint import config_of_shapes

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


@pytest.mark.parametrize("legacy", [False, True])
def test_a_plain_state_dict(legacy: bool, tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "plain.pt", _use_new_zipfile_serialization=not legacy)
    model = load_checkpoint(tmp_path / "plain.pt")
    assert model.config == CONFIG and same(model, weights())


def test_a_plain_safetensors_file(tmp_path: Path) -> None:
    save_file(prefixed("module.", weights()), tmp_path / "plain.safetensors")
    assert same(load_checkpoint(tmp_path / "plain.safetensors"), weights())


def test_data_parallel(tmp_path: Path) -> None:
    model = GraNet(CONFIG)
    assert same(loaded(nn.DataParallel(model).state_dict(), tmp_path), model.state_dict())


def test_averaged_model_and_its_counter(tmp_path: Path) -> None:
    model = GraNet(CONFIG)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    averaged.update_parameters(model)
    state = averaged.state_dict()
    assert "n_averaged" in state
    assert same(loaded({"model": weights(2), "ema": state}, tmp_path), averaged.module.state_dict())


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "model.module.", "ema_model."]
)
def test_prefixes_of_wrappers(prefix: str, tmp_path: Path) -> None:
    assert same(loaded(prefixed(prefix, weights()), tmp_path), weights())


WRAPPERS: dict[str, Callable[[State, State], dict[str, Any]]] = {
    "state_dict": lambda state, _: {"state_dict": state, "epoch": 3, "optimizer": {"state": {}}},
    "model": lambda state, _: {"model": state, "args": {"lr": 5e-4}},
    "nested": lambda state, _: {"model": {"state_dict": state}},
    "basicsr": lambda state, other: {"params": other, "params_ema": state},
    "ema beside state_dict": lambda state, other: {"state_dict": other, "ema": state},
    "ema as a decay": lambda state, _: {"ema": 0.999, "state_dict": state},
    "ema without weights": lambda state, _: {"ema": {"decay": 0.999, "shadow_params": []}, "model": state},
    "ema that is empty": lambda state, _: {"ema": {}, "model": state},
    "ema of ema-pytorch": lambda state, other: {
        "ema": {
            "initted": torch.tensor(True),
            "step": torch.tensor(3),
            **prefixed("online_model.", other),
            **prefixed("ema_model.", state),
        }
    },
    "lightning": lambda state, _: {
        "state_dict": prefixed("model.", state),
        "pytorch-lightning_version": "2.5",
    },
    "counters": lambda state, _: {**state, "num_batches_tracked": torch.tensor(7)},
    "parameters": lambda state, _: {name: nn.Parameter(value) for name, value in state.items()},
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=list(WRAPPERS))
def test_wrappers_are_opened_and_averaged_weights_preferred(
    wrapper: Callable[[State, State], dict[str, Any]], tmp_path: Path
) -> None:
    content = wrapper(weights(1), weights(2))
    assert same(loaded(content, tmp_path), weights(1))


def test_two_sets_of_weights_are_not_guessed_between(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two sets of weights"):
        loaded({**prefixed("model.", weights(1)), **prefixed("net.", weights(2))}, tmp_path)


def test_a_network_that_grew_a_layer_is_named_by_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"discriminator\.weight, which that network lacks"):
        loaded({**weights(), "discriminator.weight": torch.zeros(2)}, tmp_path)
    state = weights()
    del state["coarse.mask.bias"]
    with pytest.raises(UserError, match=r"it lacks coarse\.mask\.bias"):
        loaded(state, tmp_path)


def told_by_shapes(config: GraNetConfig) -> GraNetConfig:
    with torch.device("meta"):
        return config_of_shapes(GraNet(config).state_dict())


@pytest.mark.parametrize("name", list(CONFIG.ablations()))
def test_shapes_tell_a_preset_and_its_ablations(name: str) -> None:
    paper = GraNetConfig.paper().ablations()[name]
    assert told_by_shapes(paper) == paper
    first_lite = GraNetConfig(channels=16, growth=8, nonlocal_channels=16, key_stride=4)
    for preset in (GraNetConfig.lite(), GraNetConfig.base(), first_lite):
        narrow = preset.ablations()[name]
        if not narrow.region_aware:  # then these two settings do nothing
            narrow = replace(narrow, key_stride=1, nonlocal_channels=32)
        assert told_by_shapes(narrow) == narrow


def test_shapes_tell_every_width() -> None:
    widths = replace(CONFIG, channels=7, growth=2, dense_layers=3, nonlocal_channels=1, fine_blocks=2)
    assert told_by_shapes(widths) == widths


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_shapes_tell_the_fold(fold: int, tmp_path: Path) -> None:
    config = replace(CONFIG, fold=fold, region_extent=504 if fold == 3 else 512)
    if fold == 3:  # an extent is not in the shapes, and the default one does not fit
        with pytest.raises(UserError, match=r"foreign\.pt: .*fold 3 needs a region_extent"):
            loaded(weights(config=config), tmp_path)
        return
    model = loaded(weights(config=config), tmp_path)
    assert model.config == config and same(model, weights(config=config))


@pytest.mark.parametrize("channels", [0, 1, 4, 6, 13, 3 * 81])
def test_a_number_of_channels_that_no_fold_gives(channels: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"foreign\.pt: .*(takes \d+ channels|fold must be)") as caught:
        loaded({**weights(), "coarse.head.weight": torch.zeros(6, channels, 3, 3)}, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(0, 3, 3, 3), (5000, 3, 3, 3)])
def test_shapes_of_no_network(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"foreign\.pt: .*channels"):
        loaded({**weights(), "coarse.head.weight": torch.zeros(shape)}, tmp_path)
