"""The cache of kernels that TensorRT-RTX compiles: reused, and trusted only if this user wrote it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.tensorrt import private_cache
from runtime.tensorrt import session as tensorrt_session
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.private_cache import cache_directory
from runtime.tensorrt.rtx_kernels import kernels_path
from tests.runtime.tensorrt.engine_files import record
from tests.runtime.tensorrt.opened_engine import Opened, noise

RTX = record("tensorrt-rtx")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory; it does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "granet-deploy" / "rtx-kernels"


class Run:
    """A process that runs an engine with the cache."""

    def __init__(self, folder: Path, compiled: bytes = b"kernels of this GPU", frames: int = 2) -> None:
        session = Opened(folder, made=RTX)
        session.fake.compiled = compiled
        with session as engine:
            for _ in range(frames):
                np.testing.assert_array_equal(engine.run(noise(1)), 255 - noise(1))
        self.read = [event for event in session.fake.events if event.startswith("kernels re")]


def the_file(kept: Path) -> Path:
    (path,) = kept.iterdir()
    return path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: ")
    return line


def test_the_next_process_reuses_compiled_kernels(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Run(tmp_path).read == []
    before = the_file(kept).stat()
    assert before.st_mode & 0o777 == 0o600 and kept.stat().st_mode & 0o777 == 0o700
    assert Run(tmp_path).read == ["kernels read"]
    assert the_file(kept).stat().st_mtime_ns == before.st_mtime_ns  # nothing new, nothing written
    Run(tmp_path, compiled=b"kernels of this GPU, and one more")
    assert b"one more" in the_file(kept).read_bytes()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("harm", ["flipped", "truncated", "empty"])
def test_a_damaged_file_is_reported_in_one_line_and_replaced(
    harm: str, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(tmp_path)
    path = the_file(kept)
    whole = path.read_bytes()
    path.write_bytes({"flipped": whole[:-1] + b"?", "truncated": whole[:-5], "empty": b""}[harm])
    assert Run(tmp_path).read == []  # never passed to TensorRT
    line = one_line(capsys)
    assert "damaged" in line and str(path) in line
    assert path.read_bytes() == whole


def test_kernels_that_tensorrt_refuses_are_reported_and_replaced(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(tmp_path, compiled=b"kernels of an older driver")
    assert Run(tmp_path).read == ["kernels refused"]
    assert "another version or GPU" in one_line(capsys)
    assert Run(tmp_path).read == ["kernels read"]


@pytest.mark.parametrize(
    ("where", "mode"), [("file", 0o620), ("file", 0o602), ("folder", 0o770), ("folder", 0o707)]
)
def test_a_file_that_others_can_write_is_not_trusted(
    where: str, mode: int, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(tmp_path)
    (the_file(kept) if where == "file" else kept).chmod(mode)
    assert Run(tmp_path).read == []
    assert "other users can write" in one_line(capsys)


def test_a_file_of_another_user_is_not_trusted(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(tmp_path)
    monkeypatch.setattr(private_cache.os, "geteuid", lambda: os.getuid() + 1)
    assert Run(tmp_path).read == []
    assert "belongs to another user" in one_line(capsys)


def test_without_a_writable_cache_it_runs_and_says_so_once(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tensorrt_session, "SETTLED", 3)
    kept.parent.mkdir(parents=True)
    kept.write_text("in the way")
    Run(tmp_path, frames=5)
    assert "not cached" in one_line(capsys)


def test_a_run_that_never_ends_stores_kernels_too(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live run may be killed or lose power."""
    monkeypatch.setattr(tensorrt_session, "SETTLED", 3)
    with Opened(tmp_path, made=RTX) as engine:
        for _ in range(2):
            engine.run(noise(1))
        assert not kept.exists()
        engine.run(noise(1))
        assert the_file(kept).exists()


def test_tensorrt_stores_no_kernels(kept: Path, tmp_path: Path) -> None:
    with Opened(tmp_path, made=record("tensorrt")) as engine:
        engine.run(noise(1))
    assert not kept.exists()


def test_an_engine_that_never_ran_stores_no_kernels(kept: Path, tmp_path: Path) -> None:
    Run(tmp_path, frames=0)
    assert not kept.exists()


def test_version_gpu_driver_and_engine_have_separate_files() -> None:
    gpu = Gpu(0, "NVIDIA GeForce RTX 4090", "8.9", "13.0")
    others = [
        kernels_path("1.7.1.117", gpu, "a" * 64),
        kernels_path("1.7.1.116", gpu, "b" * 64),
        *(
            kernels_path("1.7.1.116", replace(gpu, **{name: value}), "a" * 64)
            for name, value in (("name", "RTX 4080"), ("capability", "8.6"), ("driver", "13.1"))
        ),
    ]
    path = kernels_path("1.7.1.116", gpu, "a" * 64)
    assert len({path, *others}) == 6
    assert path.parent == cache_directory() / "rtx-kernels"
    assert path.name == "1.7.1.116-NVIDIA-GeForce-RTX-4090-8.9-13.0-aaaaaaaaaaaaaaaa.kernels"
    assert kernels_path("1.7.1.116", replace(gpu, index=1), "a" * 64) == path


def test_the_oldest_files_are_removed(kept: Path, tmp_path: Path) -> None:
    kept.mkdir(parents=True, mode=0o700)
    for number in range(16 + 3):
        path = kept / f"{number}.kernels"
        path.write_bytes(b"old")
        os.utime(path, (number, number))
    Run(tmp_path)
    names = {path.name for path in kept.iterdir()}
    assert len(names) == 16 and "0.kernels" not in names and "18.kernels" in names


def test_a_link_is_not_followed(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Run(tmp_path)
    path = the_file(kept)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert Run(tmp_path).read == []
    assert f"{path} is a symbolic link" in one_line(capsys)


def test_a_named_pipe_is_not_waited_for(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(tmp_path)
    path = the_file(kept)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert Run(tmp_path).read == []
    assert "not a regular file" in one_line(capsys)


def test_a_file_that_is_too_large_is_not_read(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(tmp_path)
    with the_file(kept).open("r+b") as file:
        file.truncate(2**28 + 1)
    assert Run(tmp_path).read == []
    assert "is too large" in one_line(capsys)
