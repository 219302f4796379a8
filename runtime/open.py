"""Opens a model file, or a model on a server, with the requested backend and device."""

import shlex
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from granet.app.console import detail, say
from granet.app.extras import pip_install, require
from granet.app.home import ensure_home
from granet.app.input_file import require_regular
from granet.app.out_of_memory import out_of_memory
from granet.errors import UserError
from granet.weights.file_names import ENDINGS as CHECKPOINTS
from granet.weights.file_names import is_checkpoint
from granet.weights.renames import Rename
from runtime.engines.base import Engine
from runtime.engines.device import Device
from runtime.engines.remote.address import ServerAddress
from runtime.media.frame import Colour
from runtime.models.packaged import PRESETS, packaged_model

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
    path: str | Path,
    device: str = "auto",
    backend: str = "auto",
    *,
    colour: Colour = "bgr",
    renames: Sequence[Rename] = (),
) -> Engine:
    """Loads a checkpoint or an exported model, or connects to a model on a server.

    >>> import numpy, runtime
    >>> with runtime.open_engine("lite", device="cpu") as engine:
    ...     engine.run(numpy.full((1, 64, 96, 3), 128, numpy.uint8)).shape
    (1, 64, 96, 3)

    Args:
        path: ``grpc://HOST:PORT/MODEL`` or ``grpcs://...`` (a server that speaks KServe v2, such as Triton;
            it chooses device and backend, so both must be ``auto``), the name of a packaged model (``lite``,
            ``base``), a checkpoint (runs in PyTorch;
            :data:`CHECKPOINTS` lists the endings), ``.onnx``, or ``.engine`` (runs in TensorRT, if the record
            beside it matches the engine and this machine).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` (NVIDIA), ``gpu`` or ``npu`` (Intel, with
            openvino). ``auto`` selects CUDA if the backend can use it and else the CPU; the engine's
            description names the choice. Every other name selects that device or fails.
        backend: ``auto`` or one of :data:`BACKENDS`. ``auto`` runs an ONNX file on CUDA devices with
            onnxruntime; on all others with openvino, which is faster, if it is installed, and else with
            onnxruntime. ``onnxruntime-tensorrt`` is ONNX Runtime's TensorRT provider, which builds its
            engine on every load; ``tensorrt`` runs engines that ``granet-export trt`` built.
        colour: channel order of the frames, only for checkpoints. An exported model has its own.
        renames: names of the weights, only for checkpoints of another program.

    Raises:
        UserError: if the file does not exist or is not a model, or if backend or device are unknown or
            not available; the message says what is missing and how to get it.
    """
    address = ServerAddress.parse(path)
    if address is not None:
        return _remote_engine(address, device, backend)
    # "./lite" is a file, and arrives here as a path whose text is a name.
    is_name = isinstance(path, str) and path in PRESETS and not Path(path).is_file()
    path = Path(path)
    wanted = Device.parse(device)
    check_backend(backend)
    if is_name:
        path = packaged_model(str(path), device, backend, "model")
    _check_file(path)
    chosen = _choose_backend(path, wanted, backend)
    require(f"{path}: running it in {chosen}", *_PACKAGES.get(chosen, ()))
    ensure_home()
    try:
        engine = _engine_class(chosen, renames)
    except ImportError as error:
        if (lacking := out_of_memory(error)) is not None:
            raise UserError(f"{chosen} cannot be loaded: {lacking}") from error
        command = pip_install(*_PACKAGES.get(chosen, (chosen,)))
        raise UserError(f"{chosen} is installed but cannot be imported ({error}): {command}") from error
    began = time.monotonic()
    opened = engine(path, wanted, colour)
    detail(f"{path}: opened in {time.monotonic() - began:.1f} s ({opened.info.description})")
    return opened


def check_backend(name: str) -> None:
    """Checks the name of a backend.

    Raises:
        UserError: unless it is ``auto`` or one of :data:`BACKENDS`.
    """
    if name not in ("auto", *BACKENDS):
        raise UserError(f"unknown backend {name!r}: choose auto, {', '.join(BACKENDS)}")


def _remote_engine(address: ServerAddress, device: str, backend: str) -> Engine:
    for option, value in (("device", device), ("backend", backend)):
        if value != "auto":
            raise UserError(
                f"{address}: the server chooses the {option}: leave {option} {value!r} out, or give auto"
            )
    require(f"{address}: running a model on a server", "tritonclient", "grpcio")
    from runtime.engines.remote.engine import RemoteEngine

    return RemoteEngine(address, say)


def _check_file(path: Path) -> None:
    if path.exists():
        require_regular(path)
    else:
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
    if is_checkpoint(path):
        if backend not in ("auto", "torch"):
            command = "granet-export trt" if backend == "tensorrt" else "granet-export onnx"
            raise UserError(f"{path}: a checkpoint runs only in torch: for {backend} export it: {command}")
        return "torch"
    if path.suffix.lower() in ENGINES:
        if backend not in ("auto", "tensorrt"):
            raise UserError(f"{path}: an engine runs only in tensorrt: for {backend} use the ONNX file")
        return "tensorrt"
    if backend == "tensorrt":
        command = shlex.join(("granet-export", "trt", str(path)))
        raise UserError(f"{path}: tensorrt runs engines, not ONNX files: build one with {command}")
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


def _engine_class(backend: str, renames: Sequence[Rename]) -> Callable[[Path, Device, Colour], Engine]:
    """Imports only the requested backend; the others need not be installed."""
    if backend == "torch":
        from runtime.engines.torch import TorchEngine

        return lambda path, device, colour: TorchEngine(path, device, colour, renames)
    if backend == "openvino":
        from runtime.engines.openvino import OpenVinoEngine

        return lambda path, device, colour: OpenVinoEngine(path, device)
    if backend == "tensorrt":
        from runtime.tensorrt.engine import TensorRtEngine

        return lambda path, device, colour: TensorRtEngine(path, device)
    from runtime.engines.onnxruntime import OnnxRuntimeEngine

    tensorrt = backend == "onnxruntime-tensorrt"
    return lambda path, device, colour: OnnxRuntimeEngine(path, device, tensorrt=tensorrt)
