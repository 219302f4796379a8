"""Engines, sources, sinks and the pipeline between them: what an edge device runs.

Needs numpy, OpenCV and PyAV; torch and onnx are not imported unless a checkpoint is run, and the
names below are loaded when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from granet.app.no_telemetry import report_nothing

if TYPE_CHECKING:
    from runtime.derainer import Derainer
    from runtime.engines.base import Engine
    from runtime.media.frame import Frame
    from runtime.open import open_engine
    from runtime.result import Result

report_nothing()

__all__ = ["Derainer", "Engine", "Frame", "Result", "open_engine"]

_HOMES = {
    "Derainer": "runtime.derainer",
    "Engine": "runtime.engines.base",
    "Frame": "runtime.media.frame",
    "Result": "runtime.result",
    "open_engine": "runtime.open",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
