"""Simulates a quantised model on any machine, in ONNX Runtime without optimisations.

Without them QuantizeLinear and DequantizeLinear are computed as written, in floating point. With them
integer kernels take their place, and on a CPU without VNNI those saturate 16-bit sums: the results would
be those of this machine, not of the target.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from granet.app.cores import thread_limit
from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata
from runtime.engines.onnxruntime import ORT_ERRORS
from runtime.media.frame import Colour, Pixels

Levels = NDArray[np.float32]
"""A picture in grey levels: float32 H x W x 3, RGB, clamped to [0, 255] but not rounded."""


class Simulation:
    """Runs an exported model in memory, picture by picture.

    Results are taken before rounding: rounding noise would hide the noise of a single layer, and only noise
    before rounding adds up.
    """

    def __init__(self, model: ModelProto, metadata: ModelMetadata) -> None:
        """Loads ``model``, which is not modified; ``metadata`` gives its layout and colour order.

        Raises:
            UserError: if ONNX Runtime cannot load it.
        """
        tapped = ModelProto()
        tapped.CopyFrom(model)
        name = metadata.outputs[0]
        self._scale = 255.0
        self._frames = metadata.layout == "frames"
        self._colour: Colour = metadata.colour
        self._tapped_colour: Colour = "rgb"
        if self._frames:
            name, gathered = _before_rounding(tapped, name)
            self._scale = 1.0
            self._tapped_colour = "rgb" if gathered else metadata.colour
        del tapped.graph.output[:]
        tapped.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        self._session = _session(tapped)

    def run(self, picture: Pixels) -> Levels:
        """Computes the rain-free picture.

        Args:
            picture: uint8 H x W x 3, RGB, of a size that the model computes on.

        Raises:
            UserError: if a value is not finite, or ONNX Runtime fails.
        """
        source = picture[None, ..., ::-1] if self._colour == "bgr" else picture[None]
        if not self._frames:
            source = (picture.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
        (image,) = _run(self._session, np.ascontiguousarray(source))
        levels = _unfolded(image[0].astype(np.float32)) * np.float32(self._scale)
        levels = levels[..., ::-1] if self._tapped_colour == "bgr" else levels
        if not np.isfinite(levels).all():
            raise UserError(
                "the model returns NaN or infinity, because a layer overflows: choose another precision"
            )
        return np.ascontiguousarray(levels.clip(0, 255))


def to_pixels(levels: Levels) -> Pixels:
    """Rounds half to even, as the graph does; returns uint8 H x W x 3."""
    return np.asarray(np.rint(levels), np.uint8)


class Outputs:
    """Runs a model in memory for some of its tensors, frame by frame, and frees all others early."""

    def __init__(self, model: ModelProto, names: Sequence[str]) -> None:
        """Loads ``model``, whose outputs contain ``names``.

        Raises:
            UserError: if ONNX Runtime cannot load it.
        """
        options = ort.SessionOptions()
        # In the order of the graph, and without a plan for reuse: see calibration/ranges/observe.py.
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
        options.enable_mem_pattern = False
        options.enable_mem_reuse = False
        self._names, self._session = list(names), _session(model, options)

    def run(self, frame: Pixels) -> list[NDArray[Any]]:
        """Computes the tensors for one frame, uint8 H x W x 3, in the colour order of the model.

        Raises:
            UserError: if ONNX Runtime fails.
        """
        source = frame[None]
        if self._session.get_inputs()[0].type != "tensor(uint8)":
            source = np.ascontiguousarray(source.transpose(0, 3, 1, 2) / np.float32(255), np.float32)
        return _run(self._session, np.ascontiguousarray(source), self._names)


def _before_rounding(model: ModelProto, output: str) -> tuple[str, bool]:
    """Finds the tensor of grey levels that is rounded to the frames ``output``.

    Returns:
        Its name, and whether colours are gathered after it: it is RGB then, as in files of earlier versions,
        and otherwise in the order of the frames. Its shape is N x P x h x w, see :func:`_unfolded`.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    gathered = False
    while output in producers:
        node = producers[output]
        output = node.input[0]
        gathered = gathered or node.op_type == "Gather"
        if node.op_type == "Round":
            return output, gathered
    raise UserError("the graph does not round its frames like granet-export: export the model again")


def _unfolded(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """P x h x w, P = (row, column, colour) of fold x fold squares, to H x W x 3; P is 3 without folding."""
    channels, h, w = picture.shape
    fold = isqrt(channels // 3)
    squares = picture.reshape(fold, fold, 3, h, w).transpose(3, 0, 4, 1, 2)  # h x f x w x f x 3
    return squares.reshape(h * fold, w * fold, 3)


def _session(model: ModelProto, options: Any = None) -> Any:
    options = options or ort.SessionOptions()
    options.intra_op_num_threads = thread_limit()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # runs take minutes
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise _failure("loading the model in ONNX Runtime", error) from error


def _run(session: Any, source: NDArray[Any], names: Sequence[str] | None = None) -> list[NDArray[Any]]:
    try:
        values: list[NDArray[Any]] = session.run(names, {session.get_inputs()[0].name: source})
    except ORT_ERRORS as error:
        raise _failure(f"ONNX Runtime on {source.shape}", error) from error
    return values


def _failure(doing: str, error: Exception) -> UserError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(f"{doing} failed: {lines[-1][-200:]}")
