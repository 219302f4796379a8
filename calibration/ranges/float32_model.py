"""Loads the float32 model for calibration and quantisation."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from calibration.ranges.instrumented_graph import is_quantised
from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata


def load_onnx(path: Path) -> onnx.ModelProto:
    """Loads a model with its weights.

    Raises:
        UserError: if it cannot be read, or is not an ONNX file.
    """
    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise UserError(f"{path}: not an ONNX file, or damaged ({error}): export it again") from error


def load_float32(path: Path, metadata: ModelMetadata) -> onnx.ModelProto:
    """Loads a model and checks that it computes entirely in float32.

    Args:
        path: path of the model.
        metadata: metadata of the model.

    Raises:
        UserError: if it cannot be read, is already quantised, or computes in float16.
    """
    model = load_onnx(path)
    if metadata.precision in ("int8", "fp8") or is_quantised(model):
        raise UserError(f"{path}: is already quantised: use the float32 model that it was made from")
    if metadata.precision != "fp32":
        raise UserError(
            f"{path}: computes in {metadata.precision}: use the float32 model "
            "(granet-export onnx without --fp16); quantize adds float16 if the target needs it"
        )
    return model
