"""Commands with processes of their own, or long measurements, while nobody reads stderr."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.media import make_clip, read_clip
from tests.patience import PATIENCE
from tests.unread import full_pipe, stopped_terminal

Held = Callable[[], AbstractContextManager[tuple[int, int]]]


def status_of(command: list[str], held: Held) -> int:
    """The exit status of a command whose stderr takes nothing."""
    program = f"import sys; from runtime.entry import {command[0]}; sys.argv[0] = 'x'; {command[0]}()"
    with held() as (_, write):
        process = subprocess.Popen(
            [sys.executable, "-c", program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=write,
        )
        try:
            return process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("held", [full_pipe, stopped_terminal])
def test_an_archive_and_its_workers_finish(held: Held, engines_onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_clip(tmp_path / "src" / name, count=10)
    command = ["archive", str(tmp_path / "src"), str(tmp_path / "dst"), "--model", str(engines_onnx), "-v"]
    assert status_of(command, held) == 0
    assert all(len(read_clip(tmp_path / "dst" / name).frames) == 10 for name in ("a.mp4", "b.mp4"))


@pytest.mark.parametrize("held", [full_pipe, stopped_terminal])
def test_a_measurement_finishes(held: Held, engines_onnx: Path, tmp_path: Path) -> None:
    command = ["evaluate", "--model", str(engines_onnx), "--data", "drawn:1", "-v"]
    assert status_of(command, held) == 0
