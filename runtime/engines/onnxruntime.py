"""ONNX Runtime on the CPU, or on an NVIDIA GPU with its CUDA or TensorRT execution provider."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from runtime.engines.device import Device
from runtime.engines.graph import GraphEngine
from runtime.engines.onnxruntime_session import ORT_ERRORS, open_session
from runtime.media.frame import Pixels

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
        self._session, self._model, device = open_session(path, device, tensorrt=tensorrt)
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
        self._session = None
