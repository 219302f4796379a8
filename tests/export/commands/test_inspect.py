"""``granet-export inspect``: what each of our files is."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from calibration.table import CalibrationImage, CalibrationTable, write_table
from export.cli import app
from granet.app.console import run_app
from granet.checkpoint import read_checkpoint
from runtime.artefacts.manifest import manifest_path, sha256_of
from runtime.artefacts.onnx_file import read_metadata
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.record import EngineRecord, write_record


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run_app(app, ["inspect", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def engine(engines_onnx: Path, tmp_path: Path) -> Path:
    """An engine's record is what counts here: its bytes are never looked into."""
    path = tmp_path / "best.engine"
    path.write_bytes(b"native code of a kind")
    record = EngineRecord(
        file=path.name,
        sha256=sha256_of(path),
        onnx=engines_onnx.name,
        onnx_sha256=sha256_of(engines_onnx),
        table_sha256="d" * 64,
        metadata=read_metadata(engines_onnx),
        flavour="tensorrt",
        version="10.3.0",
        platform="Linux-aarch64",
        compute_capabilities=("8.7",),
        cuda="12.6",
        driver="540.4.0",
        gpu="Orin",
        profiles=(Profile((1, 16, 16), (1, 480, 640), (2, 1080, 1920)),),
        layers={"conv1": "Int8", "conv2": "Int8", "mask": "Half"},
        build_seconds=312.5,
        parity=None,
        parity_reason="not measured: there was no GPU",
        warnings=("something is deprecated",),
        created="2026-11-23T00:00:00+00:00",
        arguments=("--size", "640x480"),
    )
    write_record(path, record)
    return path


def test_a_checkpoint(engines_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = inspected(capsys, engines_checkpoint, "--json")
    facts = json.loads(out)
    loaded = read_checkpoint(engines_checkpoint)
    assert status == 0
    assert facts["kind"] == "checkpoint of GraNet"
    assert facts["network"] == asdict(loaded.config)
    assert facts["parameters"] == sum(tensor.numel() for tensor in loaded.state.values())
    assert facts["weights"] == {"origin": "random"}
    assert facts["sha256"] == sha256_of(engines_checkpoint)


def test_an_onnx_model(
    engines_onnx: Path, engines_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = json.loads(inspected(capsys, engines_onnx, "--json")[1])
    assert facts["kind"] == "ONNX model"
    assert facts["precision"] == "fp32"
    assert facts["input"] == "uint8 N x H x W x 3, BGR"
    assert facts["frames"] == "any size, any number at a time"
    assert facts["opset"] == 20
    assert facts["quantised"] == "no Q/DQ"
    assert facts["manifest"] == "matches"
    assert facts["parity"]["passed"] is True and "images" not in facts["parity"]
    assert facts["checkpoint"]["sha256"] == sha256_of(engines_checkpoint)


def test_an_onnx_model_that_was_changed(
    engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(engines_onnx.read_bytes() + b"\x72\x00")  # an empty property
    shutil.copy(manifest_path(engines_onnx), manifest_path(copy))
    assert "DOES NOT MATCH" in json.loads(inspected(capsys, copy, "--json")[1])["manifest"]
    manifest_path(copy).unlink()
    assert json.loads(inspected(capsys, copy, "--json")[1])["manifest"] == "none"


def test_an_engine(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(inspected(capsys, engine, "--json")[1])
    assert facts["kind"] == "TensorRT engine"
    assert facts["record"] == "matches"
    assert (facts["flavour"], facts["version"], facts["gpu"]) == ("tensorrt", "10.3.0", "Orin")
    assert facts["compute capabilities"] == ["8.7"]
    assert facts["profiles"] == ["1 to 2 frames of 16x16 to 1920x1080"]
    assert facts["layers"] == {"Int8": 2, "Half": 1}
    assert facts["warnings"] == ["something is deprecated"]
    assert facts["parity"] == "not measured: there was no GPU"
    assert facts["build again"].startswith("granet-export trt small.onnx --size 640x480 -o best.engine")


def test_an_engine_that_differs_from_its_record(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine.write_bytes(b"other native code")
    status, out, _ = inspected(capsys, engine)
    assert status == 0
    assert "DOES NOT MATCH" in out
    manifest_path(engine).unlink()
    assert "UNUSABLE" in inspected(capsys, engine)[1]


def test_a_manifest_stands_for_its_file(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspected(capsys, manifest_path(engine))[1] == inspected(capsys, engine)[1]


def test_a_calibration_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "best.calibration.json"
    image = CalibrationImage("rain.png", "e" * 64, (32, 48), 3.0)
    write_table(
        path,
        CalibrationTable("f" * 64, "mse", {"a": (0.0, 1.0)}, (image,), {"a": (0.0, 2.0)}, "images rain"),
    )
    facts = json.loads(inspected(capsys, path, "--json")[1])
    assert facts["kind"] == "calibration table"
    assert (facts["method"], facts["tensors"], facts["images"]) == ("mse", 1, 1)
    assert facts["model"] == {"sha256": "f" * 64}


def test_people_get_a_line_for_each_fact(engines_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of several parts gets a line for each, under the same name."""
    lines = inspected(capsys, engines_onnx)[1].splitlines()
    facts = json.loads(inspected(capsys, engines_onnx, "--json")[1])
    assert [line[:22].strip() for line in lines if not line.startswith(" ")] == list(facts)
    assert max(map(len, lines)) < 120
    assert f"checkpoint            file: {facts['checkpoint']['file']}" in lines


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.onnx", None, "no such file"),
        ("text.txt", "words", "unknown kind of file"),
        ("words.onnx", "words", "not an ONNX file"),
        ("words.pt", "words", "words.pt"),
        ("words.json", "words", "words.json"),
        ("gone.engine.json", "{}", "is the manifest of gone.engine, which is missing"),
        (".", None, "a directory"),
    ],
)
def test_a_file_that_cannot_be_inspected_is_one_line(
    name: str, content: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    status, out, err = inspected(capsys, tmp_path / name)
    assert (status, out) == (1, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert says in err


def test_the_tensors_of_a_checkpoint_by_name_and_shape(
    engines_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = read_checkpoint(engines_checkpoint).state
    facts = json.loads(inspected(capsys, engines_checkpoint, "--json")[1])
    assert len(facts["tensors"]) == len(state)
    assert "coarse.head.weight 8x3x3x3" in facts["tensors"] and "left out" not in facts
    assert f"{len(state)}: coarse.head.weight 8x3x3x3, " in inspected(capsys, engines_checkpoint)[1]


def test_a_checkpoint_of_another_network_shows_the_names_to_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"module.stem.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "other.ckpt")
    status, out, _ = inspected(capsys, tmp_path / "other.ckpt", "--json")
    facts = json.loads(out)
    assert status == 0 and facts["kind"] == "checkpoint of another network"
    assert facts["tensors"] == ["stem.weight 8x3x3x3"] and "GraNet has coarse.head.weight" in facts["why"]
    assert "coarse.head.weight 64x3x3x3" in facts["of GraNet paper"]


def test_a_mapped_checkpoint_and_what_was_left_out(
    engines_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = read_checkpoint(engines_checkpoint).state
    foreign = {name.replace("coarse.mask", "rain"): value for name, value in state.items()}
    torch.save(foreign | {"loss.vgg.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    status, out, _ = inspected(capsys, tmp_path / "other.pt", "--map", "rain=coarse.mask", "--json")
    facts = json.loads(out)
    assert status == 0 and facts["kind"] == "checkpoint of GraNet"
    assert facts["left out"] == ["loss.vgg.weight"] and len(facts["tensors"]) == len(state)


def test_a_map_that_inspect_cannot_use(
    engines_checkpoint: Path, engines_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = inspected(capsys, engines_checkpoint, "--map", "a=b")
    assert status == 2 and "--map a=b matches none of its names" in err
    status, _, err = inspected(capsys, engines_onnx, "--map", "a=b")
    assert status == 2 and "only weights of a checkpoint have names to map" in err
