"""No package of an engine reports anything: it would first write an identifier into the user's home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import os, sys, time
import numpy as np
from calibration.ranges import observe
from runtime.models.packaged import FLOAT32
from runtime.open import open_engine
with open_engine(FLOAT32, "cpu", sys.argv[1]) as engine:
    engine.run(np.zeros((1, 48, 64, 3), np.uint8))
"""


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_an_engine_leaves_no_identifier_and_reports_nothing(backend: str, tmp_path: Path) -> None:
    # They are silent on the machines of CI, which these variables tell.
    quiet = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    kept = {name: value for name, value in os.environ.items() if name not in quiet}
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", RUN, backend]
    result = subprocess.run(command, env={**kept, **homes}, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
