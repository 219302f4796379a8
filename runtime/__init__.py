"""Engines, sources, sinks and the pipeline between them: what an edge device runs.

Needs numpy, OpenCV and PyAV; torch and onnx are not imported unless a checkpoint is run, and the
names below are loaded when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.engines.base import Engine
    from runtime.media.frame import Frame
    from runtime.open import open_engine

__all__ = ["Engine", "Frame", "open_engine"]

_HOMES = {"Engine": "runtime.engines.base", "Frame": "runtime.media.frame", "open_engine": "runtime.open"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
