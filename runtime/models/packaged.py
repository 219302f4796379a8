"""The models of this package, by name, and the default among them."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.engines.device import Device

PRESETS = ("lite", "base")
"""Names of the packaged models: ``lite`` for CPUs, ``base`` for GPUs."""

_MODELS = Path(__file__).parent

FLOAT32 = _MODELS / "lite.onnx"

CHECKPOINT = _MODELS / "lite.safetensors"
"""The checkpoint of ``lite``."""


@dataclass(frozen=True)
class ChosenModel:
    """A packaged model that the program chose.

    Attributes:
        path: its file.
        message: says which one it is, and how to choose another.
    """

    path: Path
    message: str


def packaged_names(directory: Path = _MODELS) -> tuple[str, ...]:
    """The names of :data:`PRESETS` that this version of the package has."""
    return tuple(name for name in PRESETS if (directory / f"{name}.onnx").exists())


def packaged_checkpoints(directory: Path = _MODELS) -> list[Path]:
    """The checkpoints of the packaged models; each has its float32 model beside it, NAME.onnx."""
    return [directory / f"{name}.safetensors" for name in packaged_names(directory)]


def packaged_origin(sha256: str) -> Path | None:
    """The packaged checkpoint with this SHA-256, hexadecimal; ``None`` if it is another's."""
    return next((each for each in packaged_checkpoints() if sha256_of(each) == sha256), None)


def packaged_model(
    name: str, device: str, backend: str, option: str = "--model", directory: Path = _MODELS
) -> Path:
    """The faster file of a packaged model: 8 bits where OpenVINO runs it on a CPU, float32 elsewhere.

    ONNX Runtime is slower in 8 bits on CPUs without VNNI, and a GPU needs no quantisation made for CPUs.

    Args:
        name: one of :data:`PRESETS`.
        device: as for :func:`runtime.open.open_engine`.
        backend: the same.
        option: names the option or the setting in the error.
        directory: where the models are.

    Raises:
        UserError: if there is no such device, or this version does not have the model.
    """
    if name not in packaged_names(directory):
        raise UserError(f"{option} {name}: this version packages {_listed(directory)}; give that or a path")
    on_cpu = Device.parse(device).kind in ("auto", "cpu")
    return directory / (f"{name}.int8.onnx" if on_cpu and _in_openvino(backend) else f"{name}.onnx")


def default_model(device: str, backend: str, directory: Path = _MODELS) -> ChosenModel:
    """The packaged model for a device: ``base`` on a GPU, and else ``lite``.

    Args:
        device: as for :func:`runtime.open.open_engine`.
        backend: the same.
        directory: where the models are.

    Raises:
        UserError: if there is none.
    """
    there = packaged_names(directory)
    if not there:
        raise UserError(f"the packaged models are missing in {directory}: give a model with --model PATH")
    name = "base" if "base" in there and _on_gpu(device, backend) else there[0]
    others = [other for other in there if other != name]
    way = f"--model {others[0]} chooses the other" if others else "this version packages no other"
    message = f"model: {name} ({way}; --model also takes a path)"
    return ChosenModel(packaged_model(name, device, backend, directory=directory), message)


def _on_gpu(device: str, backend: str) -> bool:
    """Whether the engine runs on a GPU, as far as that is known before it is opened."""
    kind = Device.parse(device).kind
    if kind in ("cuda", "gpu") or backend == "onnxruntime-tensorrt":
        return True
    if kind != "auto" or _in_openvino(backend):
        return False
    # ``auto`` is CUDA in ONNX Runtime, if that was built with it.
    if find_spec("onnxruntime") is None:
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _in_openvino(backend: str) -> bool:
    return backend == "openvino" or (backend == "auto" and find_spec("openvino") is not None)


def _listed(directory: Path) -> str:
    names = packaged_names(directory)
    return f"only {' and '.join(names)}" if names else "no models"
