"""The notebook of docs/: its cells run in order, it is small, and it was saved without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.documents import ROOT

NOTEBOOK = ROOT / "docs" / "python.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_the_cells_run_in_order_and_the_rain_gets_less(tmp_path: Path) -> None:
    # One namespace and a fresh process, as in a kernel.
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(CODE)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    before, after = (float(word) for word in result.stdout.split() if word.replace(".", "", 1).isdigit())
    assert after > before
    assert list(tmp_path.iterdir()) == []


def test_it_has_no_outputs_and_the_ids_that_the_format_wants() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert all(cell["outputs"] == [] for cell in CELLS if cell["cell_type"] == "code")
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    assert NOTEBOOK.stat().st_size < 20_000
