"""Opens a model file with the requested backend and device."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from granet.app.extras import pip_install, require
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.engines.device import Device
from runtime.media.frame import Colour

CHECKPOINTS = (".pt", ".pth", ".safetensors")
ENGINES = (".engine",)
BACKENDS = ("torch", "onnxruntime", "onnxruntime-tensorrt", "openvino", "tensorrt")

_PACKAGES = {
    "torch": ("torch", "safetensors"),
    "onnxruntime": ("onnxruntime",),
    "onnxruntime-tensorrt": ("onnxruntime",),
    "openvino": ("openvino",),
}
"""Backend -> required packages. TensorRT has several packages, and its engine finds the right one."""


def open_engine(
    path: str | Path, device: str = "auto", backend: str = "auto", *, colour: Colour = "bgr"
) -> Engine:
    """Loads a checkpoint or an exported model.

    Args:
        path: ``.pt``, ``.pth`` or ``.safetensors`` (runs in PyTorch), ``.onnx``, or ``.engine`` (runs in
            TensorRT, if the record beside it matches the engine and this machine).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` (NVIDIA), ``gpu`` or ``npu`` (Intel, with
            openvino). ``auto`` selects CUDA if the backend can use it and else the CPU; the engine's
            description names the choice. Every other name selects that device or fails.
        backend: ``auto`` or one of :data:`BACKENDS`. ``auto`` runs an ONNX file on CUDA devices with
            onnxruntime; on all others with openvino, which is faster, if it is installed, and else with
            onnxruntime. ``onnxruntime-tensorrt`` is ONNX Runtime's TensorRT provider, which builds its
            engine on every load; ``tensorrt`` runs engines that ``granet-export trt`` built.
        colour: channel order of the frames, only for checkpoints. An exported model has its own.

    Raises:
        UserError: if the file does not exist or is not a model, or if backend or device are unknown or
            not available; the message says what is missing and how to get it.
    """
    path = Path(path)
    wanted = Device.parse(device)
    if backend not in ("auto", *BACKENDS):
        raise UserError(f"unknown backend {backend!r}: choose auto, {', '.join(BACKENDS)}")
    _check_file(path)
    chosen = _choose_backend(path, wanted, backend)
    require(f"{path}: running it in {chosen}", *_PACKAGES.get(chosen, ()))
    try:
        engine = _engine_class(chosen)
    except ImportError as error:
        command = pip_install(*_PACKAGES.get(chosen, (chosen,)))
        raise UserError(f"{chosen} is installed but cannot be imported ({error}): {command}") from error
    return engine(path, wanted, colour)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path}: a directory, not a model file")
    if not path.exists():
        raise UserError(f"{path}: no such model file")
    if path.suffix.lower() in (".plan", ".trt"):
        raise UserError(
            f"{path}: a TensorRT engine that was not built by granet-export (those end in .engine): build "
            "one from the ONNX model: granet-export trt"
        )
    known = (".onnx", *ENGINES, *CHECKPOINTS)
    if path.suffix.lower() not in known:
        raise UserError(f"{path}: not a model: its name must end in {', '.join(known)}")


def _choose_backend(path: Path, device: Device, backend: str) -> str:
    if path.suffix.lower() in CHECKPOINTS:
        if backend not in ("auto", "torch"):
            command = "granet-export trt" if backend == "tensorrt" else "granet-export onnx"
            raise UserError(f"{path}: a checkpoint runs only in torch: for {backend} export it: {command}")
        return "torch"
    if path.suffix.lower() in ENGINES:
        if backend not in ("auto", "tensorrt"):
            raise UserError(f"{path}: an engine runs only in tensorrt: for {backend} use the ONNX file")
        return "tensorrt"
    if backend == "tensorrt":
        raise UserError(
            f"{path}: tensorrt runs engines, not ONNX files: build one with granet-export trt {path.name}"
        )
    if backend == "torch":
        raise UserError(
            f"{path}: torch runs checkpoints ({', '.join(CHECKPOINTS)}), not ONNX files: use --backend auto"
        )
    if backend != "auto":
        return backend
    if device.kind == "cuda":
        return "onnxruntime"
    if device.kind in ("gpu", "npu") or find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime"


def _engine_class(backend: str) -> Callable[[Path, Device, Colour], Engine]:
    """Imports only the requested backend; the others need not be installed."""
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
