"""``granet-export trt``: a mistake gives one line at once; a mistake and Ctrl-C leave nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from runtime.artefacts.manifest import manifest_path
from tests.export.trt_ended import TRAINED, ended, names

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")


@pytest.fixture(autouse=True)
def here(trt_folder: Path) -> Path:
    return trt_folder


@pytest.fixture
def model(trt_model: Path) -> Path:
    return trt_model


@pytest.fixture
def from_checkpoint(trt_made: Path) -> Path:
    return trt_made


def test_without_any_model_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = ended(capsys, "--int8")
    assert status == 2 and err.count("\n") == 1
    assert "granet-export trt best.onnx" in err and "--ckpt best.pt" in err


@pytest.mark.parametrize("source", [["--ckpt", str(TRAINED)], ["lite.onnx"]])
def test_an_existing_engine_is_reported_before_minutes_of_work(
    source: list[str], from_checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--ckpt" not in source:
        for name in ("lite.onnx", "lite.onnx.json"):
            shutil.copy(from_checkpoint / name, here)
    (here / "lite.int8.engine").write_text("precious")
    before = names(here)
    status, _, err = ended(capsys, *source, "--int8")
    assert status == 1 and "lite.int8.engine: exists; add --overwrite" in err
    assert "exporting" not in err and "calibrating" not in err
    assert names(here) == before


def changed(model: Path) -> None:
    """The model with another constant, and the manifest of before."""
    loaded = onnx.load(model)
    loaded.producer_name = "someone else"
    model.write_bytes(loaded.SerializeToString())


def with_unpool(model: Path) -> None:
    """An operator in our own file that TensorRT has not; no manifest."""
    loaded = onnx.load(model)
    loaded.graph.node.add(op_type="MaxUnpool", name="unpool", input=["rainy"], output=["spare"])
    model.write_bytes(loaded.SerializeToString())
    manifest_path(model).unlink()


MISTAKES: dict[str, tuple[list[str], int, str]] = {
    "no such file": (["none.onnx"], 1, "none.onnx: cannot be read"),
    "not a model": (["words.onnx"], 1, "words.onnx: not an ONNX file"),
    "not ours": (["foreign.onnx"], 1, "was not made by granet-export"),
    "no checkpoint": (["--ckpt", "none.pt"], 1, "none.pt"),
    "two sources": (["MODEL", "--ckpt", "CKPT"], 2, "give the model or its checkpoint"),
    "two precisions": (["MODEL", "--fp16", "--int8"], 2, "--int8 with --fp16: "),
    "precision is in the file": (["MODEL", "--size", "48x32", "--fp16"], 1, "granet-export onnx --fp16"),
    "images for no quantisation": (["MODEL", "--images", "."], 2, "--images without --int8 or --fp8: "),
    "images for another precision": (["MODEL", "--fp32", "--images", "."], 2, "--images with --fp32: "),
    "images and a table": (
        ["MODEL", "--int8", "--images", ".", "--calibration", "t"],
        2,
        "--calibration with --images: ",
    ),
    "no table": (["MODEL", "--int8", "--calibration", "none.json"], 1, "none.json: cannot be read"),
    "any size": (["MODEL"], 1, "--size 640x480"),
    "any size, to be calibrated": (["MODEL", "--int8"], 1, "--size 640x480"),
    "too small": (["MODEL", "--size", "8x8"], 1, "at least 16x16"),
    "no size": (["MODEL", "--size", "wide"], 2, "480x320"),
    "another size": (["STATIC", "--size", "64x48"], 1, "computes on 48x32 only, not on 64x48"),
    "another batch": (["STATIC", "--batch", "2"], 1, "1 frame at a time, not on 2"),
    "exists": (["STATIC", "-o", "exists.engine"], 1, "--overwrite"),
    "no directory": (["STATIC", "-o", "no/such/a.engine"], 1, "there is no directory"),
    "a directory": (["STATIC", "-o", "folder.engine"], 1, "is a directory"),
    "another ending": (["STATIC", "-o", "a.onnx"], 2, "ends in .engine"),
    "wrong capability": (["STATIC", "--compute-capability", "9.0"], 1, "choose from 7.5, 8.0"),
    "no capability": (["STATIC", "--compute-capability", "ampere"], 2, "write it like 8.6"),
    "no DLA": (["STATIC", "--dla", "0"], 2, "--dla 0 with --flavour tensorrt-rtx"),
    "no timing cache": (["STATIC", "--timing-cache", "t"], 2, "--timing-cache with --flavour"),
    "no level": (["STATIC", "--optimisation-level", "1"], 2, "--optimisation-level 1 with --flavour"),
    "no such flavour": (["STATIC", "--flavour", "tensorflow"], 2, "tensorflow"),
    "level": (["STATIC", "--optimisation-level", "9"], 2, "optimisation-level"),
    "not for Turing": (["STATIC", "--compute-capability", "7.5"], 1, "FP32 GEMM is not supported"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    case: str,
    model: Path,
    from_checkpoint: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, status, says = MISTAKES[case]
    (here / "words.onnx").write_text("a model, honestly\n")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])), here / "foreign.onnx")
    (here / "exists.engine").write_text("precious")
    (here / "folder.engine").mkdir()
    before = names(here)
    stands_for = {
        "MODEL": model,
        "CKPT": TRAINED,
        "STATIC": from_checkpoint / "lite.onnx",
    }
    found, out, err = ended(capsys, *(stands_for.get(argument, argument) for argument in arguments))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (found, out) == (status, "")
    assert len(errors) == 1 and says in errors[0]
    assert "NoneType" not in err and "Traceback" not in err
    assert names(here) == before
    assert (here / "exists.engine").read_text() == "precious"


def of_another_type(model: Path) -> None:
    """An input that is not the frames which the file says it takes; no manifest."""
    loaded = onnx.load(model)
    loaded.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    model.write_bytes(loaded.SerializeToString())
    manifest_path(model).unlink()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (of_another_type, "types of inputs and outputs are FLOAT, UINT8, not UINT8, UINT8"),
        (changed, "was changed after its manifest"),
        (with_unpool, "node unpool: TensorRT does not support the operator MaxUnpool"),
    ],
)
def test_a_model_that_is_not_to_be_built_is_refused(
    harm: Any, says: str, model: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(model)
    status, _, err = ended(capsys, model, "--size", "48x32")
    assert status == 1
    assert says in err
    assert not (here / "small.engine").exists()


def test_where_no_tensorrt_is_installed(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime.tensorrt.flavour.find_spec", lambda name: None)
    status, _, err = ended(capsys, model, "--size", "48x32")
    assert status == 1
    assert "TensorRT is not installed" in err and "pip install tensorrt-rtx" in err


def test_tensorrt_without_a_gpu_says_where_to_build(
    model: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorRT itself builds on a GPU only; here it is RTX's module under its name."""
    from granet.errors import UserError
    from runtime.tensorrt.flavour import Flavour

    def no_gpu() -> None:
        raise UserError("no driver")

    monkeypatch.setattr("export.commands.trt_plan.find_flavour", lambda _: Flavour("tensorrt", "10.3.0", trt))
    monkeypatch.setattr("export.commands.trt_plan.open_cuda", no_gpu)
    status, _, err = ended(capsys, model, "--size", "48x32")
    assert status == 1
    assert "--flavour tensorrt-rtx" in err
    assert names(here) == ["small.onnx", "small.onnx.json"]


CTRL_C = """
import os, signal
import export.tensorrt.make as make
from export.cli import main

# A shell's background jobs, and what they start, ignore SIGINT unless they say otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
build, interrupted = make.build_engine, []

def build_and_interrupt(*arguments):
    *others, progress = arguments
    def first_step(share, total, doing):
        if not interrupted:
            interrupted.append(doing)
            os.kill(os.getpid(), signal.SIGINT)
        progress(share, total, doing)
    return build(*others, first_step)

make.build_engine = build_and_interrupt
main()
"""


def test_ctrl_c_ends_a_build_and_leaves_nothing(model: Path, here: Path) -> None:
    """It comes at the builder's first step."""
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, "trt", model.name, "--size", "480x320", "--no-cache"],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == -signal.SIGINT
    assert done.stderr.splitlines()[-1] == "interrupted"
    assert names(here) == ["small.onnx", "small.onnx.json"]
