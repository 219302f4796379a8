"""ONNX Runtime, on the CPU or on an NVIDIA GPU; there with CUDA, or with TensorRT as ONNX Runtime has it.

ONNX Runtime makes a session on the CPU where CUDA does not start, and says so in many lines of log
alone. The log is silenced here, and the session is asked where it runs.
"""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as states

from granet.app.extras import pip_install
from granet.errors import UserError
from runtime.engines.device import Device
from runtime.engines.graph import GraphEngine
from runtime.engines.onnx_model import OnnxModel
from runtime.media.frame import Pixels

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
CPU = "CPUExecutionProvider"

_FATAL = 4

# One class for each status, with no base of their own; there are more with every version.
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
            device: where.
            tensorrt: use ONNX Runtime's TensorRT provider; ``auto`` is CUDA then, and ``cpu`` an error.
                It builds its engine while it loads, which takes minutes, and keeps none.

        Raises:
            UserError: if the file is not a model of ours, or CUDA or TensorRT were asked for and are not
                to be had.
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
        # A copy: the output lies in the session's arena, and a frame that a queue holds on to there
        # splits it (lite at 1080p peaks at 2.1 GiB then, at 1.6 GiB so).
        return tuple(self._model.to_frames(output.copy(), batch) for output in outputs)

    def close(self) -> None:
        """Frees the session."""
        self._session = None


def _open_session(path: Path, device: Device, *, tensorrt: bool) -> tuple[Any, OnnxModel, Device]:
    """An ``InferenceSession``, its model, and where it runs.

    Args:
        path: the ONNX file.
        device: ``cpu`` or ``cuda`` are that device or an error; ``auto`` is CUDA if it starts and else the
            CPU, but with ``tensorrt`` CUDA alone.
        tensorrt: use the TensorRT provider.

    Raises:
        UserError: if the device is not to be had, or the file is not a model of ours or cannot be loaded.
    """
    ort.set_default_logger_severity(_FATAL)
    if tensorrt:
        _require_provider(TENSORRT, device)
    model = OnnxModel.open(path)
    session, found = (_open_tensorrt if tensorrt else _open_plain)(model, device)
    return session, model, found


def _open_plain(model: OnnxModel, device: Device) -> tuple[Any, Device]:
    if device.kind not in ("auto", "cpu", "cuda"):
        raise UserError(f"onnxruntime has no device {device}: for Intel's use --backend openvino")
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
        f"device {device}: onnxruntime-gpu {ort.__version__} could not start CUDA{missing}. It needs an "
        "NVIDIA driver, that device, and the CUDA and cuDNN of its version (onnxruntime.ai, CUDA provider)"
    )


def _open_tensorrt(model: OnnxModel, device: Device) -> tuple[Any, Device]:
    """A session whose nodes run in TensorRT, or, what that does not take, in CUDA; never on the CPU alone.

    The provider lets TensorRT use TF32 for float32, and has no option against it.
    """
    missing = _preload_cuda_libraries()
    # Its networks are weakly typed: without these, what the file has in float16 is computed in float32.
    options = {
        "device_id": str(device.index),
        "trt_fp16_enable": str(int(model.metadata.precision == "fp16")),
        "trt_int8_enable": str(int(model.metadata.precision == "int8")),
    }
    refusal = UserError(
        f"device {Device('cuda', device.index)}: onnxruntime-gpu {ort.__version__} could not start TensorRT"
        f"{missing}. It needs an NVIDIA driver, that device, and the libnvinfer 10 and CUDA of its version "
        "(onnxruntime.ai, TensorRT provider); --backend onnxruntime runs with CUDA alone"
    )
    try:
        session = _session(model, [(TENSORRT, options), (CUDA, _cuda_options(device)), CPU])
    except UserError as error:
        # Without its libraries it raises, where the CUDA provider is left out in silence.
        if "install TensorRT libraries" in str(error.__cause__):
            raise refusal from error
        raise
    if TENSORRT not in session.get_providers():
        raise refusal
    return session, Device("cuda", device.index)


def _require_provider(provider: str, device: Device) -> None:
    """One line for a package that was built without a provider, or a device that it has nothing for."""
    name = "TensorRT" if provider == TENSORRT else "CUDA"
    if device.kind not in ("auto", "cuda"):
        raise UserError(f"device {device}: {name} runs on NVIDIA GPUs: use --device cuda")
    if provider not in ort.get_available_providers():
        raise UserError(
            f"device {device}: the installed onnxruntime {ort.__version__} has no {name}. Remove it and "
            f"install the other package: pip uninstall onnxruntime && {pip_install('onnxruntime-gpu')}"
        )


def _cuda_options(device: Device) -> dict[str, str]:
    """TF32 keeps 10 of float32's 23 bits, and is on by default."""
    return {"device_id": str(device.index), "use_tf32": "0"}


def _session(model: OnnxModel, providers: list[Any]) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL  # what fails in a session comes as an exception
    # Both hold memory from the first run to the last for tensors that live briefly: lite at 1080p
    # peaks at 4.2 GiB with them and at 1.6 GiB without, in the same time.
    options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    if model.metadata.quantisation.get("target") == "tensorrt":
        # Its integer kernels take no float16 scales (loading fails): the pairs are computed as written.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        # Without the fallback, a provider that fails at run time fails, and is not replaced by the CPU.
        return ort.InferenceSession(str(model.path), options, providers=providers, enable_fallback=0)
    except ORT_ERRORS as error:
        raise model.failure("loading it in ONNX Runtime", error) from error


def _preload_cuda_libraries() -> str:
    """Finds CUDA and cuDNN where pip put them; they need not be on the loader's path then.

    Returns:
        For an error: `` (there is no libcublas.so.13)``; empty if all are there.
    """
    if not hasattr(ort, "preload_dlls"):
        return ""
    with redirect_stdout(io.StringIO()) as printed:  # it prints a line for each that it misses
        ort.preload_dlls()
    names = re.findall(r"Failed to load ([^\s:]+):", printed.getvalue())
    return f" (there is no {', '.join(dict.fromkeys(names))})" if names else ""
