"""An engine computes on the cores that its process may use, and on no others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.handmade import inverting_file

_CODE = """
import os, sys
from pathlib import Path
import numpy as np
from runtime import open_engine

with open_engine(Path(sys.argv[1]), "cpu", sys.argv[2]) as engine:
    engine.run(np.zeros((1, 48, 64, 3), np.uint8))
    print({tuple(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")})
"""


@pytest.mark.skipif(
    not Path("/proc/self/task").exists() or len(os.sched_getaffinity(0)) < 2,
    reason="one core: none to leave out",
)
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_no_thread_leaves_the_cores_of_the_process(tmp_path: Path, backend: str) -> None:
    """ONNX Runtime bound a thread to each core of the machine, also those that taskset or Slurm left out."""
    model = inverting_file(tmp_path / "m.onnx")
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(model), backend],
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{{({core},)}}\n", done.stderr
