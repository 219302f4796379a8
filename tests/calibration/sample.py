"""The sample for quantisation: packaged weights in a small static graph, with independent ranges."""

from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from calibration.table import CalibrationImage, CalibrationTable, write_table
from granet import GraNet
from granet.checkpoint import load_checkpoint
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity_cases import synthetic_rain
from runtime.media.frame import Pixels

WEIGHTS = Path(__file__).parents[2] / "runtime/models/lite.safetensors"
SIZE = (64, 96)


@cache
def network() -> GraNet:
    return load_checkpoint(WEIGHTS)


@cache
def built(precision: str = "fp32", opset: int = 20) -> bytes:
    from export.onnx.export import ExportOptions, build_model

    options = ExportOptions(size=SIZE, precision=precision, opset=opset)  # type: ignore[arg-type]
    return build_model(network(), options).SerializeToString()


def model(precision: str = "fp32", opset: int = 20) -> onnx.ModelProto:
    return onnx.load_from_string(built(precision, opset))


def metadata(precision: str = "fp32") -> ModelMetadata:
    return ModelMetadata(
        config=asdict(network().config),
        checkpoint=WEIGHTS.name,
        checkpoint_sha256="0" * 64,
        precision=precision,
        layout="frames",
        colour="bgr",
        multiple=8,
        extent=512,
        height=SIZE[0],
        width=SIZE[1],
        batch=1,
        outputs=["derained"],
        versions={"granet-deploy": "0"},
    )


def pictures(count: int = 3) -> list[Pixels]:
    """uint8 H x W x 3, RGB."""
    return [np.ascontiguousarray(case.frames[0]) for case in synthetic_rain(SIZE, count)]


@cache
def ranges() -> dict[str, tuple[float, float]]:
    return ranges_of(model())


def ranges_of(network: onnx.ModelProto) -> dict[str, tuple[float, float]]:
    """Least and largest value of every float tensor, 0 included: min-max, without calibration's code."""
    watched = onnx.shape_inference.infer_shapes(network)
    floats = [v.name for v in watched.graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT]
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in floats
    )
    session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    found = {name: (0.0, 0.0) for name in floats}
    for picture in pictures():
        for name, value in zip(floats, session.run(None, {"rainy": picture[None, ..., ::-1]}), strict=True):
            low, high = found[name]
            found[name] = min(low, float(value.min())), max(high, float(value.max()))
    return found


def save(directory: Path, name: str = "lite.onnx", precision: str = "fp32", opset: int = 20) -> Path:
    """The model as a file with its metadata."""
    proto = model(precision, opset)
    proto.metadata_props.add(key="granet", value=metadata(precision).to_json())
    path = directory / name
    path.write_bytes(proto.SerializeToString())
    return path


def save_table(path: Path, for_model: Path, without: str = "") -> Path:
    """Its calibration table; ``without`` leaves one tensor out."""
    kept = {name: value for name, value in ranges().items() if name != without}
    image = CalibrationImage("drawn", "0" * 64, SIZE, 3.0)
    write_table(path, CalibrationTable(sha256_of(for_model), "minmax", kept, (image,), kept))
    return path
