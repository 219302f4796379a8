"""The float32 model that ranges are measured on and quantised models are made of."""

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
        raise UserError(f"{path}: not an ONNX file, or a damaged one ({error}): export it again") from error


def load_float32(path: Path, metadata: ModelMetadata) -> onnx.ModelProto:
    """Loads a model that computes in float32 throughout.

    Args:
        path: of it.
        metadata: what it says of itself.

    Raises:
        UserError: if it cannot be read, is quantised already or computes in float16.
    """
    model = load_onnx(path)
    if metadata.precision in ("int8", "fp8") or is_quantised(model):
        raise UserError(f"{path}: is quantised already: give the float32 model that it was made of")
    if metadata.precision != "fp32":
        raise UserError(
            f"{path}: computes in {metadata.precision}: give the float32 model "
            "(granet-export onnx without --fp16); quantize makes float16 where the target wants it"
        )
    return model
