"""Storage that is full, gone or read-only, recordings that change, and users without permission."""

import ctypes
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.archive.driver import Driver
from runtime.archive.job_folder import JobFolder
from runtime.archive.plan import PlannedFile
from runtime.archive.pool import LocalPool
from runtime.archive.storage.local import LocalStorage
from runtime.archive.tasks import Work
from tests.media import read_clip
from tests.patience import PATIENCE
from tests.runtime.archive.recordings import made_job, make_recording, planned
from tests.runtime.archive.test_archive_cli import model, run


def work_on(job: JobFolder, model: Path) -> Work:
    return Work(job.destination, job.job, model, "cpu", "onnxruntime")


def is_whole(path: Path, count: int = 40) -> bool:
    return len(read_clip(path).frames) == count


@pytest.fixture
def file(tmp_path: Path) -> PlannedFile:
    return planned(make_recording(tmp_path / "src" / "a.mp4", 40))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_pauses_the_run_and_room_continues_it(
    small_disk: Path, file: PlannedFile, engines_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.archive.driver._LEAST_ROOM", 100 << 10)
    job = made_job(small_disk)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as filled, pytest.raises(OSError, match="No space"):
        while True:
            filled.write(bytes(1024))
    said: list[str] = []

    def make_room(message: str) -> None:
        said.append(message)
        if message.startswith("paused"):
            threading.Timer(0.3, ballast.unlink, [True]).start()

    with LocalPool(work_on(job, engines_onnx), 1) as pool:
        tally = Driver(job, pool, [file], file.frames, tries=1, announce=make_room, pause=0.1).run()
    assert tally.files == 1 and tally.failed == {} and tally.lost == 0
    assert "No space left" in said[0] and said[1].startswith("continued")
    assert is_whole(small_disk / "a.mp4")


def test_an_attempt_that_fails_leaves_neither_its_file_nor_its_part(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with pytest.raises(UserError), storage.attempt("ab/key.1234.mp4") as attempt:
        attempt.path.write_bytes(b"whole")
        attempt.path.with_name("key.1234.part.mp4").write_bytes(b"part")
        attempt.path.with_name("key.5678.part.mp4").write_bytes(b"another attempt's")
        raise UserError("the encoder failed")
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["key.5678.part.mp4"]


def test_a_mount_whose_server_is_gone_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bool:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(Path, "is_dir", fail)
    assert not LocalStorage(tmp_path).has_folder("job")


@pytest.mark.parametrize("which", ["dst", "src"])
def test_storage_that_vanishes_pauses_the_run_and_its_return_continues_it(
    tmp_path: Path, file: PlannedFile, engines_onnx: Path, which: str
) -> None:
    job = made_job(tmp_path / "dst")
    folder, away = tmp_path / which, tmp_path / "away"
    said: list[str] = []

    def bring_back(message: str) -> None:
        said.append(message)
        if message.startswith("paused"):
            threading.Timer(0.3, away.rename, [folder]).start()

    with LocalPool(work_on(job, engines_onnx), 1) as pool:
        driver = Driver(job, pool, [file], file.frames, tries=1, announce=bring_back, pause=0.1)
        submit, submitted = pool.submit, []

        def vanish(task: object) -> None:
            submitted.append(task)
            if len(submitted) == 2:
                folder.rename(away)
            submit(task)  # type: ignore[arg-type]

        pool.submit = vanish  # type: ignore[method-assign]
        tally = driver.run()
    assert tally.files == 1 and tally.failed == {} and tally.lost == 0
    assert [line.split(":")[0] for line in said] == ["paused", "continued"]
    assert is_whole(tmp_path / "dst" / "a.mp4")


def test_a_mount_point_without_its_storage_is_not_filled(
    tmp_path: Path, file: PlannedFile, engines_onnx: Path
) -> None:
    """A lost mount leaves an empty folder, and nothing may be written into it."""
    job = made_job(tmp_path / "dst")
    said: list[str] = []

    def stop_soon(message: str) -> None:
        said.append(message)
        threading.Timer(0.3, driver.stop).start()

    with LocalPool(work_on(job, engines_onnx), 1) as pool:
        driver = Driver(job, pool, [file], file.frames, announce=stop_soon, pause=0.05)
        submit = pool.submit

        def vanish(task: object) -> None:
            if not (tmp_path / "away").exists():
                (tmp_path / "dst").rename(tmp_path / "away")
                (tmp_path / "dst").mkdir()
            submit(task)  # type: ignore[arg-type]

        pool.submit = vanish  # type: ignore[method-assign]
        driver.run()
    assert [line.split(":")[0] for line in said] == ["paused"]
    assert list((tmp_path / "dst").iterdir()) == []


def test_a_removed_recording_fails_alone(tmp_path: Path, file: PlannedFile, engines_onnx: Path) -> None:
    other = planned(make_recording(tmp_path / "src" / "b.mp4", 40))
    Path(file.path).unlink()
    job = made_job(tmp_path / "dst")
    with LocalPool(work_on(job, engines_onnx), 1) as pool:
        tally = Driver(job, pool, [file, other], 80).run()
    assert tally.files == 1 and "was removed after it was planned" in tally.failed["a.mp4"]
    assert is_whole(tmp_path / "dst" / "b.mp4")


def test_a_disk_error_that_does_not_pass_ends_in_a_failure(tmp_path: Path, file: PlannedFile) -> None:
    from granet.errors import UserError
    from tests.runtime.archive.test_driver import FaultyPool

    job = made_job(tmp_path / "dst")
    pool = FaultyPool(job, lambda task, tries: "storage")
    with pytest.raises(UserError, match=r"a\.mp4: a segment failed"):
        Driver(job, pool, [file], file.frames, pause=0.0).run()


def test_a_recording_that_is_still_being_written_fails_alone_and_is_done_later(
    tmp_path: Path, engines_onnx: Path
) -> None:
    source = tmp_path / "src"
    make_recording(source / "a.mp4", 40)
    whole = make_recording(tmp_path / "b.mkv", 40).read_bytes()
    path = source / "b.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    writing = subprocess.Popen([sys.executable, "-c", WRITER, path])
    ended = run(source, tmp_path / "dst", *model(engines_onnx), "--on-failure", "gap")
    writing.kill()
    writing.wait()
    assert ended.returncode == 1 and "b.mkv" in ended.stderr and "Traceback" not in ended.stderr
    # Which message it is depends on the moment at which the planner looks.
    assert any(each in ended.stderr for each in ("being written", "changed after", "truncated"))
    assert is_whole(tmp_path / "dst" / "a.mp4") and not (tmp_path / "dst" / "b.mkv").exists()
    path.write_bytes(whole)
    later = run(source, tmp_path / "dst", *model(engines_onnx), "--on-failure", "gap")
    assert later.returncode == 0, later.stderr
    assert is_whole(tmp_path / "dst" / "b.mkv")


WRITER = """
import sys, time
with open(sys.argv[1], "ab") as file:
    while True:
        file.write(b"\\0" * 8)
        file.flush()
        time.sleep(0.002)
"""


def without_privileges() -> None:
    """Takes from root what other users do not have: access to files whose mode forbids it."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def as_a_user(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "runtime.archive.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        preexec_fn=without_privileges if os.getuid() == 0 else None,
        check=False,
    )


@pytest.mark.parametrize("what", ["file", "folder", "destination", "job"])
def test_without_permission_it_is_one_line(tmp_path: Path, engines_onnx: Path, what: str) -> None:
    source, destination = tmp_path / "src", tmp_path / "dst"
    make_recording(source / "a.mp4", 20)
    closed = make_recording(source / "closed" / "b.mp4", 20)
    destination.mkdir()
    if what == "job":
        (destination / ".granet-archive").mkdir(mode=0)
    blocked = {"file": closed, "folder": closed.parent, "destination": destination}.get(what)
    if blocked is not None:
        blocked.chmod(0o555 if what == "destination" else 0)
    ended = as_a_user(source, destination, *model(engines_onnx))
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and "ermission denied" in last
    if what == "file":
        assert is_whole(destination / "a.mp4", 20)
    if what == "folder":
        assert "--exclude" in last
        again = as_a_user(source, destination, *model(engines_onnx), "--exclude", "closed/*")
        assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("name", ["lock", "JOB.lock", "JOB/plan-0001.jsonl", "JOB/files/KEY.json"])
def test_a_pipe_in_the_folder_of_a_job_is_not_waited_for(
    name: str, tmp_path: Path, engines_onnx: Path
) -> None:
    source, target = tmp_path / "src", tmp_path / "dst"
    make_recording(source / "a.mp4", 40)
    assert run(source, target, *model(engines_onnx)).returncode == 0
    folder = target / ".granet-archive"
    (job,) = (path.name for path in folder.iterdir() if path.is_dir())
    (key,) = (path.stem for path in (folder / job / "files").glob("*.jpg"))
    path = folder / name.replace("JOB", job).replace("KEY", key)
    path.unlink()
    os.mkfifo(path)
    (target / "a.mp4").unlink()
    ended = run(source, target, *model(engines_onnx))
    last = ended.stderr.splitlines()[-1]
    assert (ended.returncode, last) == (1, f"error: {path}: is a named pipe, not a file: name a regular file")
