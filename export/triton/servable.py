"""Which of Triton's back ends runs a model, with which files and shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from granet.app.console import UsageError
from granet.app.options import CAMERA_SIZE
from granet.app.schema import read_bytes
from granet.errors import UserError
from granet.weights.file_names import is_checkpoint
from runtime.artefacts.artefact import read_model
from runtime.artefacts.manifest import manifest_path
from runtime.artefacts.metadata import ModelMetadata, Precision
from runtime.artefacts.served import ServedModel
from runtime.engines.onnx_model import MASK
from runtime.open import ENGINES, open_engine
from runtime.tensorrt.record import as_built
from runtime.tensorrt.trust import read_trusted

Via = Literal["onnxruntime", "openvino", "tensorrt", "python"]

_PYTHON = '''"""Runs the model beside this file in Triton; written by granet-export triton."""

from runtime.triton_model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class Servable:
    """A model in the form that Triton needs.

    Attributes:
        via: name of Triton's back end.
        served: description of the model for its clients.
        file: name of the model's file in a version's directory.
        files: all files of a version's directory.
        most: maximum batch of the model; ``None`` for any number of frames.
        warm_up: (height, width) in pixels of the frames that Triton computes before it is ready.
    """

    via: Via
    served: ServedModel
    file: str
    files: Mapping[str, bytes]
    most: int | None
    warm_up: tuple[int, int]

    @property
    def fixed_batch(self) -> int | None:
        """Frames of every call; ``None`` if Triton may form batches."""
        return self.served.batch


def servable(path: Path, via: Via | None) -> Servable:
    """Decides how Triton runs a model.

    Args:
        path: an ONNX file, an engine or a checkpoint.
        via: the back end; ``None`` for the model's own: onnxruntime, tensorrt, or python for a checkpoint.

    Raises:
        UsageError: if that back end does not run such models.
        UserError: if the model cannot be read, or that back end cannot run it.
    """
    if is_checkpoint(path):
        own, make = "python", {"python": _checkpoint}
    elif path.suffix.lower() in ENGINES:
        own, make = "tensorrt", {"tensorrt": _engine, "python": _engine_in_python}
    elif path.suffix.lower() == ".onnx":
        own = "onnxruntime"
        make = {"onnxruntime": _onnxruntime, "openvino": _openvino, "python": _onnx_in_python}
    else:
        raise UserError(f"{path}: not a model: give an ONNX file, an engine or a checkpoint")
    chosen = via or own
    if chosen not in make:
        raise UsageError(f"{path}: Triton cannot run it via {chosen}: use --via {' or '.join(make)}")
    makers = cast(Mapping[str, Callable[[Path], Servable]], make)
    return makers[chosen](path)


def _onnxruntime(path: Path) -> Servable:
    model = read_model(path)
    _require_frames(path, model.metadata)
    if model.metadata.quantisation.get("target") == "tensorrt":
        raise UserError(
            f"{path}: is quantised for TensorRT, and ONNX Runtime loads such a model only with a setting "
            "that Triton does not have: build an engine with granet-export trt, or use --via python"
        )
    return _onnx("onnxruntime", path, model.metadata, model.content)


def _openvino(path: Path) -> Servable:
    model = read_model(path)
    _require_frames(path, model.metadata)
    if None in (model.metadata.height, model.metadata.width, model.metadata.batch):
        raise UserError(
            f"{path}: takes frames of any size, which Triton's OpenVINO back end does not support: export it "
            "with --size WxH, or use --via python, which runs it in OpenVINO too"
        )
    return _onnx("openvino", path, model.metadata, model.content)


def _onnx(via: Via, path: Path, metadata: ModelMetadata, content: bytes) -> Servable:
    files = {"model.onnx": content, **_manifest(path, "model.onnx")}
    return Servable(via, ServedModel.of(metadata), "model.onnx", files, None, _warm_up(metadata))


def _engine(path: Path) -> Servable:
    trusted = read_trusted(path)
    record = trusted.record
    if record.flavour != "tensorrt":
        raise UserError(
            f"{path}: is an engine of TensorRT-RTX, and Triton's TensorRT back end holds only the library of "
            "TensorRT: build one with granet-export trt where tensorrt is installed, or use --via python"
        )
    metadata = as_built(record)
    _require_frames(path, metadata)
    if len(record.profiles) > 1:
        raise UserError(
            f"{path}: has {len(record.profiles)} optimisation profiles, and Triton gives each its own "
            "instances: build it with one --size, or use --via python"
        )
    (profile,) = record.profiles
    files = {"model.plan": trusted.plan, **_manifest(path, "model.plan")}
    served = ServedModel.of(metadata)
    return Servable("tensorrt", served, "model.plan", files, profile.max[0], profile.opt[1:])


def _onnx_in_python(path: Path) -> Servable:
    model = read_model(path)
    return _in_python(path, model.metadata, model.content, _warm_up(model.metadata))


def _engine_in_python(path: Path) -> Servable:
    trusted = read_trusted(path)
    # The engine gives the result alone, also that of a model with --stages (runtime.tensorrt.engine).
    metadata = replace(trusted.record.metadata, outputs=trusted.record.metadata.outputs[:1])
    return _in_python(path, metadata, trusted.plan, trusted.record.profiles[0].opt[1:])


def _in_python(path: Path, metadata: ModelMetadata, content: bytes, warm_up: tuple[int, int]) -> Servable:
    outputs = [metadata.outputs[0], *([MASK] if MASK in metadata.outputs else [])]
    served = replace(_any_size(ServedModel.of(metadata)), outputs=outputs)
    if metadata.layout == "tensor":  # the engine converts frames for it, and tensors are RGB
        served = replace(served, colour="rgb")
    return _python_files(path, served, content, warm_up)


def _checkpoint(path: Path) -> Servable:
    content = read_bytes(path)
    with open_engine(path, "cpu") as engine:
        info = engine.info
    outputs = ["derained", *([MASK] if info.has_mask else [])]
    precision = cast(Precision, info.precision)
    served = ServedModel(precision, info.colour, 1, None, None, None, None, outputs)
    return _python_files(path, served, content, CAMERA_SIZE)


def _python_files(path: Path, served: ServedModel, content: bytes, warm_up: tuple[int, int]) -> Servable:
    file = f"model{path.suffix.lower()}"
    files = {"model.py": _PYTHON.encode(), file: content, **_manifest(path, file)}
    return Servable("python", served, file, files, None, warm_up)


def _any_size(served: ServedModel) -> ServedModel:
    """Our engine fits frames itself: if the client padded them first, their edges would differ."""
    return replace(served, multiple=1, extent=None, height=None, width=None, batch=None)


def _manifest(path: Path, file: str) -> dict[str, bytes]:
    beside = manifest_path(path)
    return {manifest_path(Path(file)).name: read_bytes(beside)} if beside.exists() else {}


def _require_frames(path: Path, metadata: ModelMetadata) -> None:
    if metadata.layout != "frames":
        raise UserError(
            f"{path}: takes tensors, not frames: export it with --layout frames, or use --via python"
        )


def _warm_up(metadata: ModelMetadata) -> tuple[int, int]:
    height, width = CAMERA_SIZE
    height, width = metadata.size_rule.padded_size(height, width)
    return metadata.height or height, metadata.width or width
