"""Checkpoints: nothing is lost on the way, and a failure leaves what was there before."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from granet import GraNet, load_checkpoint, save_checkpoint
from granet.checkpoint import read_checkpoint
from granet.errors import UserError
from tests.granet.checkpoints import CONFIG, SUFFIXES, python, record_of, refused, with_record


@pytest.fixture
def model() -> GraNet:
    torch.manual_seed(11)
    return GraNet(CONFIG)


def assert_same_weights(loaded: GraNet, state: dict[str, Tensor]) -> None:
    found = loaded.state_dict()
    assert found.keys() == state.keys()
    for name, value in state.items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], value.float()), name


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_checkpoint_keeps_weights_configuration_and_facts(
    suffix: str, model: GraNet, tmp_path: Path
) -> None:
    path = tmp_path / f"best{suffix}"
    facts = {"psnr_db": 37.5, "data": ["Rain100L", "straße"], "model": "lite", "path": None, "none": {}}
    save_checkpoint(path, model, **facts)
    checkpoint = read_checkpoint(path)
    assert checkpoint.config == CONFIG and checkpoint.facts == facts
    loaded = load_checkpoint(path)
    assert loaded.config == CONFIG and not loaded.training
    assert_same_weights(loaded, model.state_dict())
    image = torch.rand(1, 3, 17, 70)
    assert torch.equal(loaded(image), model.eval()(image))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_loaded_network_can_be_trained_on(suffix: str, model: GraNet, tmp_path: Path) -> None:
    path = tmp_path / f"best{suffix}"
    save_checkpoint(path, model)
    loaded = load_checkpoint(path)
    loaded(torch.rand(1, 3, 16, 16)).mean().backward()
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_loading_draws_no_random_numbers(model: GraNet, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best.pt", model)
    before = torch.get_rng_state()
    load_checkpoint(tmp_path / "best.pt")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_is_an_ordinary_file_that_others_may_read(model: GraNet, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    save_checkpoint(tmp_path / "best.pt", model)
    assert (tmp_path / "best.pt").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_load_as_float32(
    suffix: str, dtype: torch.dtype, model: GraNet, tmp_path: Path
) -> None:
    path = tmp_path / f"best{suffix}"
    save_checkpoint(path, model.to(dtype))
    assert_same_weights(load_checkpoint(path), model.state_dict())


# --- saving that fails -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["best.onnx", "best", "best.pt.gz"])
def test_an_unknown_suffix_is_refused_with_the_ones_there_are(
    name: str, model: GraNet, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"must end in \.pt or .* or \.safetensors"):
        save_checkpoint(tmp_path / name, model)
    (tmp_path / name).write_bytes(b"")
    assert "must end in .pt or .pth or .ckpt" in refused(tmp_path / name)


@pytest.mark.parametrize("fact", [object(), {1, 2}, float("nan"), Path("x"), torch.zeros(1)])
def test_facts_are_json(fact: object, model: GraNet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="JSON"):
        save_checkpoint(tmp_path / "best.pt", model, fact=fact)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_directory_that_is_not_there(suffix: str, model: GraNet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        save_checkpoint(tmp_path / "no" / f"best{suffix}", model)


def test_a_directory_in_the_way(model: GraNet, tmp_path: Path) -> None:
    (tmp_path / "best.pt").mkdir()
    with pytest.raises(UserError, match="cannot be written: Is a directory"):
        save_checkpoint(tmp_path / "best.pt", model)
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_else(model: GraNet, tmp_path: Path) -> None:
    paths = [tmp_path / f"best{suffix}" for suffix in SUFFIXES]
    for path in paths:
        save_checkpoint(path, model, epoch=1)
    before = [path.read_bytes() for path in paths]
    said = python(
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "for path in sys.argv[1:]:\n"
        "    try: save_checkpoint(path, load_checkpoint(path), epoch=2)\n"
        "    except UserError as error: print(error)",
        *paths,
    )
    assert said == [f"{path}: cannot be written: File too large" for path in paths]
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_an_interruption_leaves_the_old_checkpoint_and_nothing_else(
    model: GraNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, model, epoch=1)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model, epoch=2)
    assert read_checkpoint(path).facts == {"epoch": 1} and list(tmp_path.iterdir()) == [path]


def test_ablations_round_trip(tmp_path: Path) -> None:
    for config in CONFIG.ablations().values():
        save_checkpoint(tmp_path / "best.pt", GraNet(replace(config, region_extent=None)))
        assert load_checkpoint(tmp_path / "best.pt").config == replace(config, region_extent=None)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_from_before_folded_frames_has_fold_1(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = replace(CONFIG, fold=1)
    model = GraNet(config)
    record = json.loads(record_of())
    del record["config"]["fold"]
    loaded = load_checkpoint(with_record(tmp_path / f"old{suffix}", model, json.dumps(record)))
    assert loaded.config == config
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(loaded(x), model.eval()(x), rtol=0, atol=0)
