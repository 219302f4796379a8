"""``granet-run`` while nobody reads stderr: the work goes on, and SIGTERM ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.media import make_clip, numbered, read_clip, write_picture
from tests.patience import PATIENCE
from tests.unread import full_pipe, read_all, stopped_terminal

ROOT = Path(__file__).parents[3]
RUN = [sys.executable, "-m", "tests.runtime.run_fake", "--model", "fake.onnx"]


def start(*arguments: str, cwd: Path, stderr: int, **more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*RUN, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )


def ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_full_pipe_does_not_stop_a_run(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=20)
    with full_pipe() as (_, write):
        assert ended(start("--input", "in.mp4", "--output", "out.mp4", cwd=tmp_path, stderr=write)) == 0
    assert len(read_clip(tmp_path / "out.mp4").frames) == 20


def test_a_terminal_stopped_by_ctrl_s_does_not_stop_a_run_with_its_progress_bar(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=60)
    with stopped_terminal() as (_, program):
        run = start(
            "--input", "in.mp4", "--output", "out.mp4", cwd=tmp_path, stderr=program, FAKE_SECONDS="0.05"
        )  # fmt: skip
        assert ended(run) == 0
    assert len(read_clip(tmp_path / "out.mp4").frames) == 60


def test_the_error_line_of_an_unread_run_is_lost_but_not_its_status(tmp_path: Path) -> None:
    with full_pipe() as (_, write):
        assert ended(start("--input", "missing.mp4", cwd=tmp_path, stderr=write)) == 1


@pytest.mark.parametrize("held", [full_pipe, stopped_terminal])
def test_sigterm_ends_a_run_whose_stderr_nobody_reads(
    held: Callable[[], AbstractContextManager[tuple[int, int]]], tmp_path: Path
) -> None:
    make_clip(tmp_path / "in.mp4", count=600)
    with held() as (_, write):
        run = start(
            "--input", "in.mp4", "--output", "out/", cwd=tmp_path, stderr=write, FAKE_SECONDS="0.05"
        )  # fmt: skip
        try:
            wait_until((tmp_path / "out.part" / "000003.png").exists)  # the run has begun
            run.send_signal(signal.SIGTERM)
        finally:
            status = ended(run)
        assert status == -signal.SIGTERM
        assert (tmp_path / "out.part").exists() and not (tmp_path / "out").exists()


def test_a_log_reader_that_dies_does_not_end_a_run(tmp_path: Path) -> None:
    # Each picture has a note of its own, so the run writes to stderr until its end.
    for index in range(12):
        write_picture(tmp_path / "in" / f"{index}.png", numbered(index).astype("uint16") * 257)
    read, write = os.pipe()
    run = start("--input", "in", "--output", "out/", cwd=tmp_path, stderr=write, FAKE_SECONDS="0.2")
    os.close(write)
    assert os.read(read, 1)
    os.close(read)
    assert ended(run) == 0
    assert len(list((tmp_path / "out").iterdir())) == 12


def test_warnings_of_a_library_about_pictures_do_not_stop_a_run(tmp_path: Path) -> None:
    # libjpeg, inside OpenCV, writes its warnings straight to the descriptor.
    for index in range(3):
        path = write_picture(tmp_path / "in" / f"{index}.jpg", numbered(index))
        path.write_bytes(with_bytes_too_many(path.read_bytes()))
    with full_pipe() as (_, write):
        assert ended(start("--input", "in", "--output", "out/", cwd=tmp_path, stderr=write)) == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


def with_bytes_too_many(jpeg: bytes) -> bytes:
    """``jpeg`` with bytes before its end, which libjpeg skips with a warning."""
    return jpeg[:-2] + b"\x55" * 100 + jpeg[-2:]


def test_a_late_reader_gets_the_last_line_and_the_number_of_lost_messages(tmp_path: Path) -> None:
    with full_pipe() as (read, write):
        run = start("--input", "missing.mp4", cwd=tmp_path, stderr=write)
        os.close(write)
        text = read_all(read)
    assert ended(run) == 1
    assert text.endswith(b"error: missing.mp4: no such file or directory\n")
