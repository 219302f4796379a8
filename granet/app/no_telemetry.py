"""Keeps the packages of engines from reporting their use to their makers.

ONNX Runtime (from 1.29) reports to Microsoft, and leaves an identifier in ``~/.cache``. OpenVINO reports to
Google Analytics, from a process that it forks on import and ends after 3 s without a network. Both decide
this when they are imported.
"""

import os
import sys
from typing import Any, cast


def report_nothing() -> None:
    """Makes both silent; call it before they are imported. A user's own ``ORT_DISABLE_TELEMETRY`` is kept."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    # OpenVINO uses a stub of its own if this package cannot be imported.
    cast("dict[str, Any]", sys.modules).setdefault("openvino_telemetry", None)
