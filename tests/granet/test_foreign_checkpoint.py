"""Weights as the training scripts of others save them."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from granet import GraNet, GraNetConfig, load_checkpoint
from granet.errors import UserError
from granet.foreign_checkpoint import config_of_shapes
from tests.granet.foreign_weights import CONFIG, State, loaded, prefixed, same, weights


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
    "ema as a module": lambda state, other: {"model": other, "ema": {"module": state, "updates": 9}},
    "ema as an ema_model": lambda state, other: {"model": other, "ema": {"ema_model": state}},
    "ema under a name of its own": lambda state, other: {"state_dict": other, "ema_state": state},
    "swa": lambda state, other: {"state_dict": other, "swa_model": prefixed("module.", state)},
    "ema alone": lambda state, _: {"ema": {"module": state}},
    "deep under other keys": lambda state, _: {"checkpoint": {"rain": {"netG": state}}},
    "one set twice": lambda state, _: {"model": state, "best": state},
    "momentum": lambda state, other: {"state_dict": state, "optimizer": {"momentum": other}},
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
    with pytest.raises(UserError, match=r"fine\.blocks\.0\.gate, which that network lacks"):
        loaded({**weights(), "fine.blocks.0.gate": torch.zeros(2)}, tmp_path)
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


# --- files as people have them -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["best.ckpt", "model_best.pth.tar", "best.tar", "BEST.PT", "Best.Pth.TAR", "pytorch_model.bin", "b.CKPT"],
)
def test_usual_names_of_checkpoints(name: str, tmp_path: Path) -> None:
    torch.save({"state_dict": weights()}, tmp_path / name)
    assert same(load_checkpoint(tmp_path / name), weights())


@pytest.mark.parametrize("name", ["best.SAFETENSORS", "best.ckpt", "best.pt"])
def test_the_content_decides_about_the_format(name: str, tmp_path: Path) -> None:
    save_file(weights(), tmp_path / name)
    assert same(load_checkpoint(tmp_path / name), weights())


@pytest.mark.parametrize(
    "value",
    [
        np.float64(33.7), np.float32(2), np.int64(-7), np.bool_(True), np.uint8(200), np.float16(1),
        np.array(1.5, ">f8")[()], np.uint32(2**31),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("legacy", [False, True])
def test_scalars_of_numpy_beside_the_weights(value: Any, legacy: bool, tmp_path: Path) -> None:
    content = {"state_dict": weights(), "best_psnr": value, "history": [value, value]}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert same(load_checkpoint(tmp_path / "a.pt"), weights())


def test_scalars_of_an_older_numpy(tmp_path: Path) -> None:
    """numpy 1 called its module ``numpy.core``, which numpy 2 still imports with a warning."""
    torch.save({"state_dict": weights(), "psnr": np.float64(33.7)}, tmp_path / "new.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for entry in new.infolist():
            old.writestr(entry.filename, new.read(entry).replace(b"numpy._core", b"numpy.core"))
    assert same(load_checkpoint(tmp_path / "old.pt"), weights())


INSIDE: dict[str, Callable[[str], str]] = {
    "compiled stages": lambda name: name.replace(".", "._orig_mod.", 1),
    "fully sharded": lambda name: "_fsdp_wrapped_module." + name.replace(".", "._fsdp_wrapped_module.", 1),
    "data parallel stages": lambda name: name.replace(".", ".module.", 1),
    "recomputed blocks": lambda name: ".".join(["_checkpoint_wrapped_module", *name.split(".")]),
    "a compiled generator": lambda name: f"generator._orig_mod.{name}",
    "a wrapper in a wrapper": lambda name: f"model.generator.module.{name}",
    "a name that nobody knows": lambda name: f"derainer.backbone.{name}",
    "a net in each stage": lambda name: name.replace(".", ".net.", 1),
}


@pytest.mark.parametrize("change", INSIDE.values(), ids=list(INSIDE))
def test_parts_that_wrappers_add_to_names(change: Callable[[str], str], tmp_path: Path) -> None:
    assert same(loaded({change(name): value for name, value in weights().items()}, tmp_path), weights())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"generator": state, "discriminator": {"conv.weight": torch.zeros(2, 2)}},
        lambda state: {"netG": state, "netD": {"conv.weight": torch.zeros(2, 2)}},
        lambda state: {"state_dict_G": state, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    ],
)
def test_weights_under_a_key_of_anybody_s_choice(wrap: Callable[[State], Any], tmp_path: Path) -> None:
    assert same(loaded(wrap(weights()), tmp_path), weights())


@pytest.mark.parametrize(
    "extra",
    ["loss_fn.vgg.weight", "perceptual.features.0.bias", "discriminator.conv.weight", "lpips.lin0.weight"],
)
def test_weights_of_a_loss_are_left_out_and_named_once(
    extra: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = {**prefixed("model.", weights()), extra: torch.zeros(3, 3)}
    assert same(loaded({"state_dict": state}, tmp_path), weights())
    load_checkpoint(tmp_path / "foreign.pt")
    said = capfd.readouterr().err.splitlines()
    assert said == [f"note: {tmp_path}/foreign.pt: left out what GraNet does not have: {extra}"]


def test_a_number_in_a_known_wrapper_is_not_taken_for_the_network(tmp_path: Path) -> None:
    content = {"ema": {"decay": torch.tensor([0.999])}, "model": {"gain": torch.ones(3)}, "netG": weights()}
    assert same(loaded(content, tmp_path), weights())


def test_two_networks_under_unknown_keys_are_not_guessed_between(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"two sets of weights \(first, second\)"):
        loaded({"first": weights(1), "second": weights(2)}, tmp_path)
    with pytest.raises(UserError, match=r"two sets of weights \(state_dict, best_state_dict\)"):
        loaded({"state_dict": weights(1), "best_state_dict": weights(2)}, tmp_path)


def test_a_teacher_inside_the_network_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert same(loaded({**weights(1), **prefixed("teacher.", weights(2))}, tmp_path), weights(1))
    assert "left out what GraNet does not have: teacher.coarse" in capfd.readouterr().err


# --- another network only where it is one ------------------------------------------------------------


def test_another_network_is_described_by_both_sides(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another network") as caught:
        loaded({"conv1.weight": torch.zeros(64, 3, 7, 7), "coarse_head.weight": torch.zeros(3)}, tmp_path)
    message = str(caught.value)
    assert "it has coarse_head.weight, conv1.weight;" in message
    assert "GraNet has coarse.head.weight, coarse.head.bias and" in message
    assert "nearest: coarse_head.weight and coarse.head.weight" in message
    assert "--map OLD=NEW" in message and "granet-export inspect" in message


@pytest.mark.parametrize("lost", ["coarse.head.weight", "coarse.mask.bias", "coarse.local.0.layers.0.weight"])
def test_a_network_with_one_misspelt_name_is_not_another_one(lost: str, tmp_path: Path) -> None:
    state = weights(config=GraNetConfig.lite())
    typo = lost.replace("coarse.", "coarse.x")
    state[typo] = state.pop(lost)
    with pytest.raises(UserError) as caught:
        loaded(state, tmp_path)
    assert f"it lacks {lost}; nearest is {typo}: python -m" in str(caught.value)
    assert "another network" not in str(caught.value)


@pytest.mark.parametrize("shape", [(6,), (), (6, 3, 3)])
def test_a_convolution_of_another_shape_is_an_error_of_the_file(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    with pytest.raises(UserError):
        loaded({**weights(), "coarse.head.weight": torch.zeros(shape)}, tmp_path)
