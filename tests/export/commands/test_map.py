"""``--map`` on the commands that take ``--ckpt``, and checkpoints with the names that people give them."""

import json
import os
from pathlib import Path

import pytest
import torch

import runtime.cli as running
import runtime.evaluation.cli as evaluation
from export.cli import app
from granet import load_checkpoint
from granet.app.console import run_app
from granet.training.convert import app as convert
from granet.weights.packaged import named_checkpoint
from runtime.artefacts.manifest import manifest_path, sha256_of
from runtime.artefacts.onnx_file import read_metadata
from tests.granet.flat_data import write_pairs
from tests.media import numbered, write_picture

LIMITS = ("--mean-db", "60", "--min-db", "50", "--share", "0.001", "--hard-db", "20")  # untrained weights


@pytest.fixture
def foreign(engines_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small network with other names for its mask, beside the weights of a loss."""
    monkeypatch.chdir(tmp_path)
    state = load_checkpoint(engines_checkpoint).state_dict()
    renamed = {f"module.{name.replace('coarse.mask', 'rain.out')}": value for name, value in state.items()}
    path = Path("model_best.PTH.tar")
    torch.save({"state_dict": renamed | {"loss.weight": torch.zeros(2, 2)}, "epoch": 3}, path)
    return path


MAP = ("--map", "rain.out=coarse.mask")


def test_an_export_and_its_parity(
    foreign: Path, engines_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["onnx", "--ckpt", str(foreign), "--size", "64x48", *LIMITS]
    assert run_app(app, command) == 1
    assert "it lacks coarse.mask.bias (and 1 more)" in capfd.readouterr().err
    assert run_app(app, [*command, *MAP]) == 0
    assert capfd.readouterr().err.count("left out what GraNet does not have: loss.weight") == 1
    metadata = read_metadata(Path("model_best.onnx"))  # not model_best.PTH.onnx
    assert metadata.checkpoint == "model_best.PTH.tar" and metadata.checkpoint_sha256 == sha256_of(foreign)
    again = ["parity", "model_best.onnx", "--ckpt", str(foreign), "--json", *LIMITS]
    assert run_app(app, [*again, *MAP]) == 0
    assert json.loads(capfd.readouterr().out)


def test_a_run_and_an_evaluation_of_a_model(foreign: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_picture(Path("in.png"), numbered(3))
    run = ["--input", "in.png", "--output", "out.png", "--model", str(foreign)]
    assert run_app(running.app, run) == 1
    assert "python -m granet.training.convert FILE NEW --map OLD=NEW renames" in capfd.readouterr().err
    assert run_app(running.app, [*run, *MAP]) == 0 and Path("out.png").exists()
    assert run_app(running.app, [*run[:4], "--model", "lite", *MAP]) == 2
    assert "--map with --model lite: it names the weights of a checkpoint" in capfd.readouterr().err
    write_picture(Path("dry/a.png"), numbered(3))
    measured = ["--model", str(foreign), "--clean", "dry", "--json", *MAP]
    assert run_app(evaluation.app, measured) == 0


@pytest.mark.parametrize("command", ["onnx", "parity", "trt"])
def test_a_map_that_is_not_used_is_a_usage_error_of_every_command(
    command: str, foreign: Path, engines_onnx: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = [str(engines_onnx)] if command == "parity" else []
    words = [command, *model, "--ckpt", str(foreign), *MAP, "--map", "nothing=coarse.head"]
    status = run_app(app, words)
    err = capfd.readouterr().err
    if command == "trt" and "TensorRT" in err:
        pytest.skip("no TensorRT is installed on this machine")
    assert status == 2 and "--map nothing=coarse.head matches none of its names" in err


def test_a_map_without_a_checkpoint_is_a_usage_error(
    engines_onnx: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, ["trt", str(engines_onnx), "--map", "a=b"]) == 2
    assert "--map without --ckpt" in capfd.readouterr().err


def test_an_evaluation(foreign: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pairs = write_pairs(tmp_path)
    words = ["--data", pairs, "--limit", "1", "--json"]
    assert run_app(evaluation.app, ["--ckpt", str(foreign), *MAP, *words]) == 0
    assert json.loads(capfd.readouterr().out)["models"][0]["name"] == foreign.name
    assert run_app(evaluation.app, ["--ckpt", str(foreign), "--ckpt", "b.pt", *MAP, *words]) == 2
    assert "--map with --ckpt model_best.PTH.tar and --ckpt b.pt" in capfd.readouterr().err
    assert run_app(evaluation.app, ["--model", "lite", *MAP, *words]) == 2
    assert "--map without --ckpt" in capfd.readouterr().err


def test_a_conversion(foreign: Path, engines_checkpoint: Path) -> None:
    assert run_app(convert, [str(foreign), "mine.safetensors", *MAP]) == 0
    found, wanted = load_checkpoint("mine.safetensors"), load_checkpoint(engines_checkpoint)
    assert all(torch.equal(found.state_dict()[name], value) for name, value in wanted.state_dict().items())
    assert run_app(convert, [str(foreign), "other.safetensors", *MAP, "--map", "a=b"]) == 2
    assert not Path("other.safetensors").exists()


def test_a_checkpoint_whose_name_is_not_utf_8(engines_checkpoint: Path, tmp_path: Path) -> None:
    """The manifest of the model, which repeats the name, can be read back."""
    path = tmp_path / os.fsdecode(b"stra\xdfe.pt")
    path.write_bytes(engines_checkpoint.read_bytes())
    model = tmp_path / "model.onnx"
    words = ["onnx", "--ckpt", str(path), "-o", str(model), "--size", "64x48", *LIMITS]
    assert run_app(app, words) == 0
    assert read_metadata(model).checkpoint == "stra\N{REPLACEMENT CHARACTER}e.pt"
    assert manifest_path(model).exists()
    assert run_app(app, ["inspect", str(model)]) == 0
    assert run_app(app, ["parity", str(model), "--ckpt", str(path), *LIMITS]) == 0


def test_a_packaged_checkpoint_is_converted_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_app(convert, ["lite", "mine.pt"]) == 0
    assert load_checkpoint(Path("mine.pt")).config == load_checkpoint(named_checkpoint("lite")).config
