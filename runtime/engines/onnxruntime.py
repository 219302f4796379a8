"""ONNX Runtime on the CPU, or on an NVIDIA GPU with its CUDA or TensorRT execution provider.

ONNX Runtime falls back to the CPU if CUDA does not start, and reports that only in its log. This module
silences the log and asks the session for the provider it uses.
"""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as states

from granet.app.cores import thread_limit
from granet.app.extras import pip_install
from granet.errors import UserError
from runtime.engines.base import GraphEngine
from runtime.engines.device import Device
from runtime.engines.onnx_model import OnnxModel
from runtime.media.frame import Pixels

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
CPU = "CPUExecutionProvider"

_FATAL = 4

# ONNX Runtime raises one class per status, without a common base; every version adds some.
ORT_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    *(kind for kind in vars(states).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)

_DTYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxRuntimeEngine(GraphEngine):
    """An exported model in ONNX Runtime."""

    def __init__(self, path: Path, device: Device, *, tensorrt: bool = False) -> None:
        """Loads ``path`` on ``device``: ``auto``, ``cpu`` or ``cuda``.

        Args:
            path: the ONNX file.
            device: the device to run on.
            tensorrt: use ONNX Runtime's TensorRT provider. Then ``auto`` means CUDA, and ``cpu`` is an
                error. The provider builds its engine on every load, which takes minutes.

        Raises:
            UserError: if the file was not made by granet-export, or if CUDA or TensorRT was requested
                and is not available.
        """
        self._session, self._model, device = _open_session(path, device, tensorrt=tensorrt)
        source = self._session.get_inputs()[0]
        self._input = source.name
        self._dtype = _DTYPES.get(source.type, np.void)
        shape = [side if isinstance(side, int) else None for side in source.shape]
        self._model.check_graph(self._dtype, shape, [output.name for output in self._session.get_outputs()])
        backend = "onnxruntime-tensorrt" if tensorrt else "onnxruntime"
        note = "TensorRT provider, which may use TF32" if tensorrt else ""
        self.info = self._model.info(
            backend, ort.__version__, str(device), note, has_mask=self._model.has_mask
        )

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        inputs = {self._input: self._model.to_input(batch, self._dtype)}
        try:
            outputs = self._session.run(self._model.outputs(want_mask), inputs)
        except ORT_ERRORS as error:
            raise self._model.failure(f"ONNX Runtime on a batch of {batch.shape}", error) from error
        # Copy: the output lies in the session's arena, and a frame that a queue keeps there fragments
        # it (lite at 1080p peaks at 2.1 GiB without the copy, at 1.6 GiB with it).
        return tuple(self._model.to_frames(output.copy(), batch) for output in outputs)

    def close(self) -> None:
        """Frees the session."""
        super().close()
        self._session = None


def _open_session(path: Path, device: Device, *, tensorrt: bool) -> tuple[Any, OnnxModel, Device]:
    """Opens a session; returns an ``InferenceSession``, its model, and the device it runs on.

    Args:
        path: the ONNX file.
        device: ``cpu`` and ``cuda`` select that device or fail; ``auto`` selects CUDA if it starts and
            the CPU otherwise, but with ``tensorrt`` only CUDA.
        tensorrt: use the TensorRT provider.

    Raises:
        UserError: if the device is not available, or the file was not made by granet-export or cannot
            be loaded.
    """
    ort.set_default_logger_severity(_FATAL)
    if tensorrt:
        _require_provider(TENSORRT, device)
    model = OnnxModel.open(path)
    session, found = (_open_tensorrt if tensorrt else _open_plain)(model, device)
    return session, model, found


def _open_plain(model: OnnxModel, device: Device) -> tuple[Any, Device]:
    if device.kind not in ("auto", "cpu", "cuda"):
        raise UserError(f"onnxruntime does not support device {device}: use --backend openvino for Intel")
    if device.kind == "cuda":
        _require_provider(CUDA, device)
    if device.kind == "cpu" or CUDA not in ort.get_available_providers():
        return _session(model, [CPU]), Device("cpu")
    missing = _preload_cuda_libraries()
    session = _session(model, [(CUDA, _cuda_options(device)), CPU])
    if CUDA in session.get_providers():
        return session, Device("cuda", device.index)
    if device.kind == "auto":
        return session, Device("cpu")
    raise UserError(
        f"device {device}: onnxruntime-gpu {ort.__version__} could not start CUDA{missing}: install an "
        "NVIDIA driver and the CUDA and cuDNN that this version requires (onnxruntime.ai, CUDA provider)"
    )


def _open_tensorrt(model: OnnxModel, device: Device) -> tuple[Any, Device]:
    """Opens a session with TensorRT, and CUDA for unsupported nodes; never falls back to the CPU.

    The provider lets TensorRT use TF32 for float32 and has no option to disable it.
    """
    missing = _preload_cuda_libraries()
    # The provider's networks are weakly typed: without these options, float16 is computed in float32.
    options = {
        "device_id": str(device.index),
        "trt_fp16_enable": str(int(model.metadata.precision == "fp16")),
        "trt_int8_enable": str(int(model.metadata.precision == "int8")),
    }
    refusal = UserError(
        f"device {Device('cuda', device.index)}: onnxruntime-gpu {ort.__version__} could not start TensorRT"
        f"{missing}: install an NVIDIA driver and the libnvinfer 10 and CUDA that this version requires "
        "(onnxruntime.ai, TensorRT provider), or use --backend onnxruntime, which needs only CUDA"
    )
    try:
        session = _session(model, [(TENSORRT, options), (CUDA, _cuda_options(device)), CPU])
    except UserError as error:
        # Without its libraries the TensorRT provider raises; the CUDA provider is silently left out.
        if "install TensorRT libraries" in str(error.__cause__):
            raise refusal from error
        raise
    if TENSORRT not in session.get_providers():
        raise refusal
    return session, Device("cuda", device.index)


def _require_provider(provider: str, device: Device) -> None:
    """Refuses a device that the provider does not support, and a package built without the provider."""
    name = "TensorRT" if provider == TENSORRT else "CUDA"
    if device.kind not in ("auto", "cuda"):
        raise UserError(f"device {device}: {name} runs only on NVIDIA GPUs: use --device cuda")
    if provider not in ort.get_available_providers():
        raise UserError(
            f"device {device}: the installed onnxruntime {ort.__version__} was built without {name}: replace "
            f"the package: pip uninstall onnxruntime && {pip_install('onnxruntime-gpu')}"
        )


def _cuda_options(device: Device) -> dict[str, str]:
    """Turns off TF32, which is on by default and keeps 10 of float32's 23 mantissa bits."""
    return {"device_id": str(device.index), "use_tf32": "0"}


def _session(model: OnnxModel, providers: list[Any]) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = thread_limit()
    options.log_severity_level = _FATAL  # failures raise an exception anyway
    # Both reserve memory for short-lived tensors for the whole life of the session: lite at 1080p
    # peaks at 4.2 GiB with them and at 1.6 GiB without, at the same speed.
    options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    if model.metadata.quantisation.get("target") == "tensorrt":
        # The integer kernels take no float16 scales (loading fails), so compute Q/DQ pairs as written.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        # No fallback: a provider that fails at run time must not be replaced by the CPU.
        return ort.InferenceSession(model.content, options, providers=providers, enable_fallback=0)
    except ORT_ERRORS as error:
        raise model.failure("loading it in ONNX Runtime", error) from error


def _preload_cuda_libraries() -> str:
    """Loads CUDA and cuDNN from pip packages, so that they need not be on the loader's path.

    Returns:
        A part of an error message, `` (missing: libcublas.so.13)``; empty if nothing is missing.
    """
    if not hasattr(ort, "preload_dlls"):
        return ""
    with redirect_stdout(io.StringIO()) as printed:  # it prints one line per missing library
        ort.preload_dlls()
    names = re.findall(r"Failed to load ([^\s:]+):", printed.getvalue())
    return f" (missing: {', '.join(dict.fromkeys(names))})" if names else ""
