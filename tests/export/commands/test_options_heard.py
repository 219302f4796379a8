"""Every option of ``granet-export`` is used, or refused with what makes it useless; help states defaults."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from export.cli import app
from granet.app.console import run_app
from runtime.artefacts.manifest import manifest_path
from runtime.models.packaged import FLOAT32
from tests.export.trt_ended import TRAINED

TABLE = ["--table", "t.json"]
FP8_ON_CPU = ["--target", "cpu", "--precision", "fp8"]
RAIN = ["calibrate", "m.onnx", "--force", "--images", "."]

# A command line, and the two that its error must name.
UNUSED: list[tuple[list[str], str, str]] = [
    (["onnx", "--ckpt", "CKPT", "--size", "64x48", "--dynamic"], "--size", "--dynamic"),
    (["onnx", "--ckpt", "CKPT", "--layout", "tensor", "--colour", "bgr"], "--colour", "--layout tensor"),
    (["onnx", "--ckpt", "CKPT", "--size", "1920x1080", "--hard-db", "1"], "--hard-db", "--size 1920x1080"),
    ([*RAIN, "--seed", "0"], "--seed", "--images"),
    (["calibrate", "m.onnx", "--video", "a.mkv", "--seed", "3"], "--seed", "--video"),
    (["calibrate", "m.onnx", "--data", "rain800:.", "--seed", "3"], "--seed", "--data"),
    ([*RAIN, "--video", "a.mkv"], "--images", "--video"),
    ([*RAIN, "--synthesise", "."], "--images", "--synthesise"),
    (["quantize", "m.onnx", "--precision", "fp16", *TABLE], "--table", "--precision fp16"),
    (["quantize", "m.onnx", "--precision", "fp16", "--keep", "coarse"], "--keep", "--precision fp16"),
    (
        ["quantize", "m.onnx", "--precision", "fp16", "--sensitivity", "s"],
        "--sensitivity",
        "--precision fp16",
    ),
    (["quantize", "m.onnx", *TABLE, "--data", "rain800:.", "--images", "."], "--data", "--images"),
    (["quantize", "m.onnx", *TABLE, *FP8_ON_CPU], "--precision", "--target cpu"),
    (["quantize", "m.onnx", "--target", "cpu", "--precision", "fp16"], "--precision", "--target cpu"),
    (
        ["sensitivity", "m.onnx", *TABLE, "--target", "cpu", "--precision", "fp8"],
        "--precision",
        "--target cpu",
    ),
    (["sensitivity", "m.onnx", *TABLE, "--data", "rain800:.", "--images", "."], "--data", "--images"),
    (["roofline", "m.onnx", "--gpu", "t4", "--gflops", "1", "--bandwidth", "1"], "--gpu", "--gflops"),
    (["roofline", "m.onnx", "--gpu", "t4", "--bandwidth", "1"], "--gpu", "--bandwidth"),
    (["roofline", "m.onnx", "--gpu", "t4", "--ms", "1", "--bench", "b.json"], "--ms", "--bench"),
    (["roofline", "m.onnx", "--gpu", "t4", "--bench", "b.json", "--size", "64x48"], "--size", "--bench"),
    (["roofline", "m.onnx", "--gpu", "t4", "--bench", "b.json", "--batch", "2"], "--batch", "--bench"),
    (["field-report", "CKPT", "--ckpt", "other.pt"], "--ckpt", TRAINED.name),
    (["trt", "m.onnx", "--ckpt", "CKPT"], "m.onnx", "--ckpt"),
    (["trt", "m.onnx", "--fp32", "--fp8"], "--fp32", "--fp8"),
    (["trt", "m.onnx", "--fp16", "--images", "."], "--images", "--fp16"),
    (["trt", "m.onnx", "--video", "a.mkv"], "--video", "without --int8 or --fp8"),
    (["trt", "m.onnx", "--int8", "--data", "rain800:.", "--synthesise", "."], "--data", "--synthesise"),
    (["trt", "m.onnx", "--int8", "--images", ".", "--seed", "3"], "--seed", "--images"),
    (["trt", "m.onnx", "--int8", "--seed", "3"], "--seed", "--synthesise"),
    (["trt", "m.onnx", "--calibration", "t.json"], "--calibration", "without --int8 or --fp8"),
    (["trt", "m.onnx", "--int8", "--images", ".", "--calibration", "t.json"], "--images", "--calibration"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with nothing but the model."""
    for path in (FLOAT32, manifest_path(FLOAT32)):
        shutil.copy(path, tmp_path / path.name.replace("lite", "m"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line of a wrong usage, which leaves nothing behind."""
    before = sorted(Path().iterdir())
    given = [str(TRAINED) if argument == "CKPT" else argument for argument in arguments]
    assert run_app(app, given) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert sorted(Path().iterdir()) == before
    return err


@pytest.mark.parametrize(("arguments", "unused", "beside"), UNUSED, ids=lambda value: str(value)[:60])
def test_an_option_that_is_not_used_is_wrong_usage(
    arguments: list[str], unused: str, beside: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = error(capsys, arguments)
    assert unused in err and beside in err


@pytest.mark.parametrize("option", [["--images", "."], ["--calibration", "t.json"]])
def test_a_model_that_is_quantised_already_is_not_calibrated(
    option: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")
    quantised_for_tensorrt(here / "q.onnx")
    err = error(capsys, ["trt", "q.onnx", "--int8", "--size", "64x48", *option])
    assert option[0] in err and "q.onnx" in err and "already int8" in err


def quantised_for_tensorrt(path: Path) -> None:
    """The packaged int8 model; what it was quantised for does not matter before it is built."""
    shutil.copy(FLOAT32.with_name("lite.int8.onnx"), path)


def test_frames_at_once_of_a_static_model_are_its_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.runtime.handmade import inverting_file

    inverting_file(here / "one.onnx", height=48, width=64, batch=1)
    err = error(capsys, ["roofline", "one.onnx", "--batch", "4"])
    assert "--batch" in err and "one.onnx" in err and "1 at a time" in err


def commands() -> Iterator[tuple[str, Any]]:
    group: Any = typer.main.get_command(app)
    yield from group.commands.items()


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_help_states_every_default(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, [name, "--help"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    command = dict(commands())[name]
    for parameter in command.params:
        if parameter.required or getattr(parameter, "is_flag", False) or parameter.name == "help":
            continue
        texts = " ".join((parameter.help or "").split())
        stated = "default" in texts
        if parameter.default is not None:
            value = getattr(parameter.default, "value", parameter.default)
            stated = f"[default: {value}" in page or f"default: {value}" in page
        assert stated, f"{name} {parameter.opts[0]}: {texts}"


def test_both_commands_that_measure_parity_state_the_same_limits(capsys: pytest.CaptureFixture[str]) -> None:
    limits = ("mean_db", "min_db", "share", "hard_db")
    helps = [
        {each.name: each.help for each in command.params if each.name in limits}
        for name, command in commands()
        if name in ("onnx", "parity")
    ]
    assert helps[0] == helps[1] and len(helps[0]) == len(limits)
    assert "fp32 60, fp16 58, int8 45, fp8 43" in helps[0]["mean_db"]
