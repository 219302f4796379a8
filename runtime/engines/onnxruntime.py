"""ONNX Runtime, on the CPU or on an NVIDIA GPU; there with CUDA, or with TensorRT as ONNX Runtime has it."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from runtime.engines.base import Engine
from runtime.engines.device import Device
from runtime.engines.onnx_model import MASK
from runtime.engines.onnxruntime_session import ORT_ERRORS, open_session
from runtime.media.frame import Pixels

_DTYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxRuntimeEngine(Engine):
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
        self._session, self._model, device = open_session(path, device, tensorrt=tensorrt)
        source = self._session.get_inputs()[0]
        self._input = source.name
        self._dtype = _DTYPES.get(source.type, np.void)
        shape = [side if isinstance(side, int) else None for side in source.shape]
        self._model.check_graph(self._dtype, shape, [output.name for output in self._session.get_outputs()])
        backend = "onnxruntime-tensorrt" if tensorrt else "onnxruntime"
        note = "TensorRT provider, which may use TF32" if tensorrt else ""
        self.info = self._model.info(backend, ort.__version__, str(device), note)
        self.has_mask = self._model.has_mask

    def _infer(self, batch: Pixels) -> Pixels:
        return self._outputs(batch, self._model.output)[0]

    def _infer_with_mask(self, batch: Pixels) -> tuple[Pixels, Pixels]:
        result, mask = self._outputs(batch, self._model.output, MASK)
        return result, mask

    def _outputs(self, batch: Pixels, *names: str) -> list[Pixels]:
        inputs = {self._input: self._model.to_input(batch, self._dtype)}
        try:
            outputs = self._session.run(list(names), inputs)
        except ORT_ERRORS as error:
            raise self._model.failure(f"ONNX Runtime on a batch of {batch.shape}", error) from error
        # A copy: the output lies in the session's arena, and a frame that a queue holds on to there
        # splits it (lite at 1080p peaks at 2.1 GiB then, at 1.6 GiB so).
        return [self._model.to_frames(output.copy(), batch) for output in outputs]

    def close(self) -> None:
        """Frees the session."""
        self._session = None
