"""Loads the float32 model for calibration and quantisation."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from calibration.ranges.instrumented_graph import is_quantised
from granet.app.input_file import MODEL_BYTES, read_bounded
from granet.errors import UserError
from runtime.artefacts.artefact import Model
from runtime.artefacts.onnx_file import check_onnx


def load_onnx(path: Path) -> onnx.ModelProto:
    """Loads a model with its weights.

    Raises:
        UserError: if it cannot be read, or :func:`runtime.artefacts.onnx_file.check_onnx` refuses it.
    """
    content = read_bounded(path, MODEL_BYTES)
    check_onnx(content, path)
    return _parsed(content, path)


def load_float32(model: Model) -> onnx.ModelProto:
    """Parses a model that computes in float32 throughout.

    Raises:
        UserError: if it is damaged, is quantised already or computes in float16.
    """
    path, precision = model.path, model.metadata.precision
    proto = _parsed(model.content, path)
    if precision in ("int8", "fp8") or is_quantised(proto):
        raise UserError(f"{path}: is already quantised: use the float32 model that it was made from")
    if precision != "fp32":
        raise UserError(
            f"{path}: computes in {precision}: use the float32 model "
            "(granet-export onnx without --fp16); quantize adds float16 if the target needs it"
        )
    return proto


def _parsed(content: bytes, path: Path) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(content)
    except DecodeError as error:
        raise UserError(f"{path}: not an ONNX file, or damaged ({error}): export it again") from error
