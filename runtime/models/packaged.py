"""Which of the models that come along runs when none is named."""

from importlib.util import find_spec
from pathlib import Path

from runtime.engines.device import Device

_MODELS = Path(__file__).parent

FLOAT32 = _MODELS / "lite.onnx"
INT8 = _MODELS / "lite.int8.onnx"


def packaged_model(device: str, backend: str) -> Path:
    """The faster one: 8 bits where OpenVINO runs it on a CPU, float32 elsewhere.

    ONNX Runtime is slower in 8 bits on CPUs without VNNI, and a GPU needs no quantisation made for CPUs.

    Args:
        device: as for :func:`runtime.open.open_engine`.
        backend: the same.

    Raises:
        UserError: if there is no such device.
    """
    on_cpu = Device.parse(device).kind in ("auto", "cpu")
    openvino = backend == "openvino" or (backend == "auto" and find_spec("openvino") is not None)
    return INT8 if on_cpu and openvino else FLOAT32
