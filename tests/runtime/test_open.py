"""The choice of the backend for a file, and the errors without one."""

import subprocess
import sys
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime import open_engine
from tests.patience import PATIENCE
from tests.runtime.handmade import inverting_file


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return inverting_file(tmp_path / "model.onnx")


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Simulates a machine without ``packages``."""
    for package in packages:
        monkeypatch.delitem(sys.modules, package, raising=False)
    real = __import__("importlib.util").util.find_spec
    for user in ("runtime.open", "granet.app.extras"):
        monkeypatch.setattr(f"{user}.find_spec", lambda name: None if name in packages else real(name))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_runs_in_torch(engines_checkpoint: Path, tmp_path: Path, suffix: str) -> None:
    from granet import load_checkpoint, save_checkpoint

    path = tmp_path / f"best{suffix}"
    save_checkpoint(path, load_checkpoint(engines_checkpoint))
    with open_engine(path, "cpu") as engine:
        assert engine.info.backend == "torch"


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_onnx_on_a_cpu_runs_in_openvino(model: Path, device: str) -> None:
    with open_engine(str(model), device) as engine:
        assert (engine.info.backend, engine.info.device) == ("openvino", "cpu")


def test_onnx_on_a_cpu_without_openvino_runs_in_onnxruntime(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "openvino")
    with open_engine(model, "cpu") as engine:
        assert engine.info.backend == "onnxruntime"


def test_the_backend_that_is_asked_for_is_the_one(model: Path) -> None:
    for backend in ("onnxruntime", "openvino"):
        with open_engine(model, "cpu", backend) as engine:
            assert engine.info.backend == backend


def test_suffixes_are_known_in_capitals(tmp_path: Path) -> None:
    open_engine(inverting_file(tmp_path / "MODEL.ONNX"), "cpu").close()


@pytest.mark.parametrize(
    ("missing", "arguments", "wanted"),
    [
        (("openvino", "onnxruntime"), {}, "onnxruntime"),
        (("onnxruntime",), {"backend": "onnxruntime"}, "onnxruntime"),
        (("onnxruntime",), {"device": "cuda"}, "onnxruntime"),
        (("openvino",), {"backend": "openvino"}, "openvino"),
        (("openvino",), {"device": "gpu"}, "openvino"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_command(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: tuple[str, ...],
    arguments: dict[str, str],
    wanted: str,
) -> None:
    without(monkeypatch, *missing)
    with pytest.raises(UserError) as caught:
        open_engine(model, **arguments)
    gpu = " (for NVIDIA GPUs: onnxruntime-gpu)" if wanted == "onnxruntime" else ""
    assert str(caught.value) == (
        f"{model}: running it in {wanted} needs {wanted}, which is not installed: pip install {wanted}{gpu}"
    )


def test_a_checkpoint_where_there_is_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(b"")
    without(monkeypatch, "torch")
    with pytest.raises(
        UserError, match=r"running it in torch needs torch, which is not installed: pip install torch$"
    ):
        open_engine(path)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("none.onnx", {}, "no such model file"),
        ("", {}, "a directory"),
        ("model.onnx", {"device": "tpu"}, "unknown device 'tpu'"),
        ("model.onnx", {"device": "cuda:x"}, "unknown device 'cuda:x'"),
        ("model.onnx", {"device": "cuda:1\n"}, "unknown device"),
        ("model.onnx", {"device": "CPU"}, "unknown device"),
        ("model.onnx", {"backend": "tensorflow"}, "unknown backend 'tensorflow'"),
        ("model.onnx", {"backend": "torch"}, "torch runs checkpoints"),
        ("model.engine", {}, "its record model.engine.json is missing"),
        ("model.engine", {"device": "cpu"}, "runs only on NVIDIA GPUs"),
        ("model.engine", {"backend": "openvino"}, "an engine runs only in tensorrt"),
        ("model.plan", {}, "was not built by granet-export"),
        ("model.onnx", {"backend": "tensorrt"}, "build one with granet-export trt "),
        ("best.pt", {"backend": "tensorrt"}, "granet-export trt"),
        ("model.zip", {}, "its name must end in .onnx"),
        ("model", {}, "its name must end in .onnx"),
        ("best.pt", {"backend": "openvino"}, "granet-export onnx"),
        ("text.pt", {}, "text.pt"),
        ("text.onnx", {}, "not an ONNX file"),
    ],
)
def test_mistakes_get_one_line(model: Path, name: str, arguments: dict[str, str], reason: str) -> None:
    for other in ("model.engine", "model.plan", "model.zip", "model", "best.pt", "text.pt", "text.onnx"):
        model.with_name(other).write_text("this is text\n")
    with pytest.raises(UserError) as caught:
        open_engine(model.parent / name, **arguments)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_for_an_engine_works_from_any_folder(model: Path) -> None:
    path = model.rename(model.with_name("my model.onnx"))
    with pytest.raises(UserError) as caught:
        open_engine(path, backend="tensorrt")
    assert str(caught.value).endswith(f"granet-export trt '{path}'")


def test_an_onnx_file_is_run_without_importing_torch_or_onnx(model: Path) -> None:
    """An edge box with the base install and one CPU backend."""
    program = f"""
import sys
for name in ("torch", "onnx", "onnxscript", "safetensors"):
    sys.modules[name] = None  # importing it raises ImportError
import numpy as np
import runtime
assert "numpy" in sys.modules and "cv2" not in sys.modules, "import runtime is to be cheap"
for backend in ("onnxruntime", "openvino"):
    with runtime.open_engine({str(model)!r}, "cpu", backend) as engine:
        assert (engine.run(np.zeros((1, 33, 47, 3), np.uint8)) == 255).all()
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
