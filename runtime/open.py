"""Opens a model file with the backend and on the device that were asked for."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.engines.device import Device
from runtime.media.frame import Colour

CHECKPOINTS = (".pt", ".pth", ".safetensors")
ENGINES = (".engine",)
BACKENDS = ("torch", "onnxruntime", "onnxruntime-tensorrt", "openvino", "tensorrt")

_INSTALL = {
    "torch": 'pip install "granet-deploy[export]"',
    "onnxruntime": 'pip install "granet-deploy[cpu]" (or, for NVIDIA GPUs, "granet-deploy[gpu]")',
    "onnxruntime-tensorrt": 'pip install "granet-deploy[gpu]", and TensorRT 10',
    "openvino": 'pip install "granet-deploy[cpu]"',
    "tensorrt": 'pip install "granet-deploy[tensorrt]"',
}


def open_engine(
    path: str | Path, device: str = "auto", backend: str = "auto", *, colour: Colour = "bgr"
) -> Engine:
    """Loads a checkpoint or an exported model.

    Args:
        path: ``.pt``, ``.pth`` or ``.safetensors`` (runs in PyTorch), ``.onnx``, or ``.engine`` (runs in
            TensorRT, if the record beside it matches it and this machine).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` (NVIDIA), ``gpu`` or ``npu`` (Intel's, with
            openvino). ``auto`` is CUDA where the backend has it and else the CPU; the engine's
            description says which. Any other name is that device or an error.
        backend: ``auto`` or one of :data:`BACKENDS`. ``auto`` runs an ONNX file on CUDA devices with
            onnxruntime, on all others with openvino, which is faster, if that is installed, and else with
            onnxruntime. ``onnxruntime-tensorrt`` is ONNX Runtime's TensorRT provider, which builds its
            engine while it loads; ``tensorrt`` runs engines that ``granet-export trt`` built.
        colour: channel order of the frames, for checkpoints only. An exported model has its own.

    Raises:
        UserError: if the file is not there or is not a model, or if backend or device are unknown or
            not to be had; the message says what is missing and how to get it.
    """
    path = Path(path)
    wanted = Device.parse(device)
    if backend not in ("auto", *BACKENDS):
        raise UserError(f"no backend is called {backend!r}: there are auto, {', '.join(BACKENDS)}")
    _check_file(path)
    chosen = _choose_backend(path, wanted, backend)
    if _missing(chosen):
        raise UserError(f"{path}: running it with {chosen} needs that package: {_INSTALL[chosen]}")
    try:
        engine = _engine_class(chosen)
    except ImportError as error:
        raise UserError(
            f"{chosen} is installed but cannot be imported ({error}): {_INSTALL[chosen]}"
        ) from error
    return engine(path, wanted, colour)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path}: a directory, not a model file")
    if not path.exists():
        raise UserError(f"{path}: no such model file")
    if path.suffix.lower() in (".plan", ".trt"):
        raise UserError(
            f"{path}: a TensorRT engine, but not one that granet-export built (those end in .engine): build "
            "it from the ONNX model: granet-export trt"
        )
    known = (".onnx", *ENGINES, *CHECKPOINTS)
    if path.suffix.lower() not in known:
        raise UserError(f"{path}: not a model: its name must end in {', '.join(known)}")


def _choose_backend(path: Path, device: Device, backend: str) -> str:
    if path.suffix.lower() in CHECKPOINTS:
        if backend not in ("auto", "torch"):
            command = "granet-export trt" if backend == "tensorrt" else "granet-export onnx"
            raise UserError(f"{path}: a checkpoint runs in torch; for {backend} export it: {command}")
        return "torch"
    if path.suffix.lower() in ENGINES:
        if backend not in ("auto", "tensorrt"):
            raise UserError(f"{path}: an engine runs in tensorrt; for {backend} give the ONNX file")
        return "tensorrt"
    if backend == "tensorrt":
        raise UserError(
            f"{path}: tensorrt runs built engines, not ONNX files: granet-export trt {path.name} builds one"
        )
    if backend == "torch":
        raise UserError(f"{path}: torch runs checkpoints ({', '.join(CHECKPOINTS)}), not ONNX files")
    if backend != "auto":
        return backend
    if device.kind == "cuda":
        return "onnxruntime"
    if device.kind in ("gpu", "npu") or find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime"


def _missing(backend: str) -> bool:
    """Whether its package is not installed. Of TensorRT there are several: its engine finds which."""
    return backend != "tensorrt" and find_spec(backend.removesuffix("-tensorrt")) is None


def _engine_class(backend: str) -> Callable[[Path, Device, Colour], Engine]:
    """Imports the one backend that is asked for; the others need not be installed."""
    if backend == "torch":
        from runtime.engines.torch import TorchEngine

        return TorchEngine
    if backend == "openvino":
        from runtime.engines.openvino import OpenVinoEngine

        return lambda path, device, colour: OpenVinoEngine(path, device)
    if backend == "tensorrt":
        from runtime.tensorrt.engine import TensorRtEngine

        return lambda path, device, colour: TensorRtEngine(path, device)
    from runtime.engines.onnxruntime import OnnxRuntimeEngine

    tensorrt = backend == "onnxruntime-tensorrt"
    return lambda path, device, colour: OnnxRuntimeEngine(path, device, tensorrt=tensorrt)
