"""Cores that a process may use: those of its affinity mask and of its container's quota."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from granet.app import cores

needs_two = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="one core: none to leave out",
)


@needs_two
def test_an_affinity_mask_limits_the_cores_and_the_threads() -> None:
    code = (
        "import os; core = min(os.sched_getaffinity(0)); os.sched_setaffinity(0, {core})\n"
        "from granet.app.cores import thread_limit, usable_cores; print(usable_cores(), thread_limit())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 1\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # one and a half cores
        ("5000 100000\n", 1),
        ("1600000 100000\n", 8),  # more than there are
        ("", 8),
        ("x y\n", 8),
        ("100000 0\n", 8),
    ],
)
def test_a_quota_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert cores.usable_cores() == expected
    assert cores.thread_limit() == (expected if expected < 8 else 0)


def test_all_cores_leave_the_choice_to_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert (cores.usable_cores(), cores.thread_limit()) == (8, 0)
