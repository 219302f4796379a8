"""OpenVINO on the CPU, or on an Intel GPU or NPU."""

import io
import math
from pathlib import Path
from typing import Any

import openvino as ov
from openvino import frontend

from granet.app.cores import thread_limit
from granet.errors import UserError
from runtime.engines.base import GraphEngine
from runtime.engines.device import Device
from runtime.engines.onnx_model import OnnxModel
from runtime.media.frame import Pixels

_OV_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    frontend.GeneralFailure,
    frontend.InitializationFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
)


SIZES_KEPT = 2
"""Compiled graphs to keep in any case: a directory of pictures often has portrait and landscape."""

PIXELS_KEPT = 8_400_000
"""Pixels of all graphs that are kept: four of 1080p, or cameras of many smaller sizes and batches."""


class OpenVinoEngine(GraphEngine):
    """An exported model in OpenVINO.

    A graph of dynamic size is recompiled for each new frame size, which takes half a second. Run with
    dynamic shapes it would need twice the memory (lite at 1080p: 2.7 GiB instead of 1.3) and be no faster.
    """

    def __init__(self, path: Path, device: Device) -> None:
        """Loads ``path`` on ``device``: ``auto`` (meaning ``cpu``), ``cpu``, ``gpu`` or ``npu``.

        Raises:
            UserError: if the file was not made by granet-export, or the device is not available.
        """
        self._core = ov.Core()
        self._device = _checked(device, self._core.available_devices)
        self._model = OnnxModel.open(path)
        self._graph = _read(self._model)
        source = self._graph.input(0)
        self._dtype = source.get_element_type().to_dtype()
        shape = [side.get_length() if side.is_static else None for side in source.get_partial_shape()]
        names = [name for port in self._graph.outputs for name in port.names]
        self._model.check_graph(self._dtype, shape, names)
        self._requests: dict[tuple[int, ...], Any] = {}  # by input shape, the least recently used first
        self.info = self._model.info("openvino", _version(), str(self._device), has_mask=self._model.has_mask)
        if None not in shape:
            self._request(tuple(side for side in shape if side is not None))

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        inputs = self._model.to_input(batch, self._dtype)
        request = self._request(inputs.shape)
        try:
            # Shared memory: neither the input nor unused outputs are copied.
            request.infer([inputs], share_inputs=True, share_outputs=True)
        except _OV_ERRORS as error:
            raise self._model.failure(f"OpenVINO on a batch of {batch.shape}", error) from error
        outputs = (request.get_tensor(name).data for name in self._model.outputs(want_mask))
        # Copy: the request overwrites its output in the next call.
        return tuple(self._model.to_frames(output.copy(), batch) for output in outputs)

    def _request(self, shape: tuple[int, ...]) -> Any:
        """The compiled graph for inputs of ``shape``."""
        request = self._requests.pop(shape, None)
        if request is None:
            while len(self._requests) >= SIZES_KEPT and self._pixels(shape) > PIXELS_KEPT:
                del self._requests[next(iter(self._requests))]
            request = self._compiled(shape)
        self._requests[shape] = request
        return request

    def _pixels(self, shape: tuple[int, ...]) -> int:
        """Pixels of all kept graphs and of one for inputs of ``shape``, which has three channels."""
        return sum(math.prod(each) for each in (*self._requests, shape)) // 3

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        # Never less precise than the file: the default is bfloat16 on CPUs with AMX and float16 on GPUs.
        # A CPU without float16 arithmetic computes f16 in f32. Quantised layers are not affected.
        precision = "f16" if self._model.metadata.precision == "fp16" else "f32"
        properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if self._device.kind == "cpu":
            properties["INFERENCE_NUM_THREADS"] = thread_limit()
        try:
            self._graph.reshape(list(shape))
            compiled = self._core.compile_model(self._graph, self._device.kind.upper(), properties)
            return compiled.create_infer_request()
        except _OV_ERRORS as error:
            raise self._model.failure(f"compiling it in OpenVINO on {self._device}", error) from error

    def close(self) -> None:
        """Frees the compiled graphs."""
        super().close()
        self._requests, self._graph = {}, None


def _read(model: OnnxModel) -> Any:
    try:
        # Not Core.read_model: it tries all other front ends on a file that the ONNX one rejects.
        reader = frontend.FrontEndManager().load_by_framework("onnx")
        return reader.convert(reader.load(io.BytesIO(model.content)))
    except _OV_ERRORS as error:
        raise model.failure("loading it in OpenVINO", error) from error


def _checked(device: Device, available: list[str]) -> Device:
    if device.kind == "cuda":
        raise UserError(f"openvino does not support device {device}: use --backend onnxruntime for NVIDIA")
    if device.kind in ("auto", "cpu"):
        return Device("cpu")
    if not any(name.split(".")[0] == device.kind.upper() for name in available):
        raise UserError(
            f"device {device}: OpenVINO {_version()} finds no Intel {device.kind.upper()} here, only "
            f"{', '.join(available) or 'nothing'}: install Intel's driver for it (docs.openvino.ai, "
            "'Additional Configurations')"
        )
    return device


def _version() -> str:
    version: str = ov.get_version().split("-")[0]  # 2026.4.1-22982-e213a147257-releases/2026/4
    return version
