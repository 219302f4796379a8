"""ONNX Runtime runs on the requested device or says in one line what is missing; no fallback to the CPU."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from granet.errors import UserError
from runtime import open_engine
from tests.runtime.handmade import inverting_file

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"

PRINTED = """Failed to load libcublasLt.so.13: libcublasLt.so.13: cannot open shared object file
Failed to load libcurand.so.10: libcurand.so.10: cannot open shared object file
Please follow https://onnxruntime.ai/docs/install/#cuda-and-cudnn to install CUDA."""
"""Output of onnxruntime-gpu 1.31.1 without CUDA's libraries."""

NO_TENSORRT = (
    "/onnxruntime_src/onnxruntime/python/onnxruntime_pybind_state.cc:729 void onnxruntime::python::"
    "RegisterTensorRTPluginsAsCustomOps(PySessionOptions&, const onnxruntime::ProviderOptions&) Please "
    "install TensorRT libraries as mentioned in the GPU requirements page, make sure they're in the PATH or "
    "LD_LIBRARY_PATH, and that your GPU is supported."
)
"""Message of its RuntimeError without libnvinfer."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return inverting_file(tmp_path / "m.onnx")


@pytest.fixture
def gpu_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acts like onnxruntime-gpu without a driver: lists the providers, but the session runs on the CPU."""
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is installed")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)


def refused(path: Path, device: str, backend: str, capfd: pytest.CaptureFixture[str]) -> str:
    """The one-line error; nothing else may be printed."""
    with pytest.raises(UserError) as caught:
        open_engine(path, device, backend)
    assert "".join(capfd.readouterr()) == "" and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="onnxruntime-gpu is installed")
def test_the_package_without_cuda_is_named(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "pip uninstall onnxruntime && pip install onnxruntime-gpu" in refused(
        model, "cuda", "onnxruntime", capfd
    )
    for device in ("auto", "cuda"):
        message = refused(model, device, "onnxruntime-tensorrt", capfd)
        assert (
            "was built without TensorRT" in message
            and "pip uninstall onnxruntime && pip install onnxruntime-gpu" in message
        )


@pytest.mark.usefixtures("gpu_package")
@pytest.mark.filterwarnings("ignore:Specified provider")
class TestWithoutADriver:
    def test_a_fallback_to_the_cpu_is_refused_for_cuda(
        self, model: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        message = refused(model, "cuda:1", "onnxruntime", capfd)
        assert "could not start CUDA" in message and "cuda:1" in message and "driver" in message

    @pytest.mark.parametrize("device", ["auto", "cuda:1"])
    def test_a_fallback_to_the_cpu_or_cuda_is_refused_for_tensorrt(
        self, model: Path, device: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        message = refused(model, device, "onnxruntime-tensorrt", capfd)
        for part in ("could not start TensorRT", "libnvinfer 10", "--backend onnxruntime"):
            assert part in message

    def test_tensorrt_without_its_libraries(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def raises(*_: Any, **__: Any) -> None:
            raise RuntimeError(NO_TENSORRT)

        monkeypatch.setattr(onnxruntime, "InferenceSession", raises)
        message = refused(model, "cuda", "onnxruntime-tensorrt", capfd)
        assert "could not start TensorRT" in message and "onnxruntime_src" not in message

    def test_another_fault_of_the_model_is_reported_unchanged(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def raises(*_: Any, **__: Any) -> None:
            raise RuntimeError("node conv1: no kernel")

        monkeypatch.setattr(onnxruntime, "InferenceSession", raises)
        assert "node conv1: no kernel" in refused(model, "cuda", "onnxruntime-tensorrt", capfd)

    def test_the_libraries_that_are_missing_are_named_once(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print(PRINTED))  # noqa: T201 - as it does
        message = refused(model, "cuda", "onnxruntime", capfd)
        assert "could not start CUDA (missing: libcublasLt.so.13, libcurand.so.10)" in message

    def test_auto_falls_back_to_the_cpu_and_says_so(self, model: Path) -> None:
        with open_engine(model, "auto", "onnxruntime") as engine:
            assert engine.info.device == "cpu" and " on cpu: " in engine.info.description


@pytest.mark.parametrize("device", ["cpu", "gpu", "npu"])
def test_tensorrt_refuses_other_devices(model: Path, device: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "TensorRT runs only on NVIDIA GPUs" in refused(model, device, "onnxruntime-tensorrt", capfd)


def test_a_cuda_failure_while_running_is_not_retried_on_the_cpu(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime's own fallback prints to stdout and continues on the CPU unless it is disabled."""
    asked: list[object] = []
    make = onnxruntime.InferenceSession

    def noted(*arguments: object, **options: object) -> onnxruntime.InferenceSession:
        asked.append(options.get("enable_fallback"))
        return make(*arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    with open_engine(model, "cpu", "onnxruntime"):
        assert asked == [0]
