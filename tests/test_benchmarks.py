"""Every benchmark runs in its smallest form. Its figures mean nothing; it must only succeed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))

NEEDS_CPU = {"gpu": ["--device", "cpu"]}
"""Options to add on a machine without a GPU."""


NEEDS_PACKAGE = {"archive": "ray"}
"""What not every platform has."""


def run(name: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Runs a benchmark in its smallest form; no GPU is visible to it."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--smallest", *options]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_runs(name: str) -> None:
    if name in NEEDS_PACKAGE:
        pytest.importorskip(NEEDS_PACKAGE[name], reason=f"{NEEDS_PACKAGE[name]} is not installed")
    ended = run(name, *NEEDS_CPU.get(name, []))
    assert ended.returncode == 0, ended.stderr
    # Results are markdown, a table or a list.
    assert any(line.startswith(("|", "- ")) for line in ended.stdout.splitlines())


def test_without_a_gpu_its_benchmark_says_so_in_one_line() -> None:
    ended = run("gpu")
    assert ended.returncode == 1 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: no GPU")


def test_the_readme_of_the_benchmarks_names_all_of_them() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [name for name in BENCHMARKS if f"benchmarks.{name}" not in text] == []
