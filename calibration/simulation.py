"""What a quantised model computes on any machine: ONNX Runtime with every optimisation off.

Then QuantizeLinear and DequantizeLinear are computed as they are written, in floating point. With
optimisations, integer kernels take their place, and those of a CPU without VNNI saturate 16-bit
sums: the numbers would be this machine's and not the target's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata
from runtime.engines.onnxruntime import ORT_ERRORS
from runtime.media.frame import Colour, Pixels

Levels = NDArray[np.float32]
"""A picture in grey levels, float32 H x W x 3, RGB, clamped to [0, 255] but not rounded."""


class Simulation:
    """A model of ours in memory, run picture by picture.

    Its result is taken before it is rounded: rounding adds a noise of its own, beside which that of one
    layer could not be measured, and noises before it add up.
    """

    def __init__(self, model: ModelProto, metadata: ModelMetadata) -> None:
        """``model`` is not modified; ``metadata`` says its layout and colour order.

        Raises:
            UserError: if ONNX Runtime cannot load it.
        """
        tapped = ModelProto()
        tapped.CopyFrom(model)
        name = metadata.outputs[0]
        self._scale = 255.0
        if metadata.layout == "frames":
            name, self._scale = _before_rounding(tapped, name), 1.0
        del tapped.graph.output[:]
        tapped.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        self._session = _session(tapped)
        self._frames = metadata.layout == "frames"
        self._colour: Colour = metadata.colour

    def run(self, picture: Pixels) -> Levels:
        """The rain-free picture.

        Args:
            picture: uint8 H x W x 3, RGB, of a size that the model computes on.

        Raises:
            UserError: if a value is not finite, or ONNX Runtime fails.
        """
        source = picture[None, ..., ::-1] if self._colour == "bgr" else picture[None]
        if not self._frames:
            source = (picture.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
        (image,) = _run(self._session, np.ascontiguousarray(source))
        levels = image[0].astype(np.float32).transpose(1, 2, 0) * np.float32(self._scale)
        if not np.isfinite(levels).all():
            raise UserError("the model gives NaN or infinity: a layer overflows in this precision")
        return np.ascontiguousarray(levels.clip(0, 255))


def to_pixels(levels: Levels) -> Pixels:
    """Rounded half to even, as the graph does it; uint8 H x W x 3."""
    return np.asarray(np.rint(levels), np.uint8)


def run_outputs(model: ModelProto, names: Sequence[str], picture: Pixels) -> list[NDArray[Any]]:
    """Values of the outputs ``names`` for one picture, uint8 H x W x 3; its colours do not matter."""
    session = _session(model)
    source = picture[None]
    if session.get_inputs()[0].type != "tensor(uint8)":
        source = np.ascontiguousarray(source.transpose(0, 3, 1, 2) / np.float32(255), np.float32)
    return _run(session, source, names)


def _before_rounding(model: ModelProto, output: str) -> str:
    """The tensor in grey levels, N x 3 x H x W, RGB, that becomes the frames ``output``."""
    producers = {name: node for node in model.graph.node for name in node.output}
    while output in producers:
        node = producers[output]
        output = node.input[0]
        if node.op_type == "Round":
            return output
    raise UserError("the graph does not round its frames as granet-export does: export the model again")


def _session(model: ModelProto) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it runs for minutes
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
