import os
import time
from pathlib import Path

import pytest

from granet.app.durations import duration_text
from granet.app.progress import ProgressLines
from granet.errors import UserError
from runtime.archive.attempt import process_segment
from runtime.archive.job_folder import Failure
from runtime.archive.join import join_file
from runtime.archive.lock import only_job
from runtime.archive.pass_engine import PassEngine
from runtime.archive.plan import Plan, PlanWriter
from runtime.archive.status import status_of
from runtime.archive.storage.place import storage_at
from tests.runtime.archive.recordings import SETTINGS, made_job, make_recording, planned


def test_a_running_job_shows_its_rate_and_the_time_left(tmp_path: Path) -> None:
    job, file = made_job(tmp_path / "dst"), planned(make_recording(tmp_path / "a.mp4", 40))
    path = job.root / "plan-0001.jsonl"
    path.write_bytes(b"".join(PlanWriter(SETTINGS, "src").lines([file])))
    now = time.time()
    for place, segment in enumerate(file.segments[:3]):
        process_segment(job, file, segment, PassEngine(), skip_dry=False)
        record = job.root / "segments" / segment.key[:2] / f"{segment.key}.json"
        os.utime(record, (now - 30 + 10 * place,) * 2)
    with only_job(job):
        running = status_of(job, Plan(path))
    # Three segments of 10 frames, 10 s apart: 1 frame per second, and 10 frames are left.
    assert (running.running, running.fps, running.seconds_left) == (True, 1.0, 10.0)
    assert "running at 1.0 frames per second, 10 s left" in list(running.lines())
    idle = status_of(job, Plan(path))
    assert (idle.running, idle.fps, idle.seconds_left) == (False, None, None)


def test_the_status_names_recordings_that_failed_or_miss_segments(tmp_path: Path) -> None:
    job = made_job(tmp_path / "dst")
    files = [planned(make_recording(tmp_path / name, 40)) for name in ("a.mp4", "b.mp4", "c.mp4")]
    path = job.root / "plan-0001.jsonl"
    path.write_bytes(b"".join(PlanWriter(SETTINGS, "src").lines(files)))
    for file in files[:2]:
        for place, segment in enumerate(file.segments):
            passing = "" if place else "it is broken"
            process_segment(job, file, segment, PassEngine(), skip_dry=False, passing=passing)
    join_file(job, files[0], overwrite=False)
    for file in files[1:]:
        job.add_failure(file.key, Failure(file.name, "no joining"))
    job.add_failure(files[0].key, Failure("a.mp4", "tried again"))
    found = status_of(job, Plan(path))
    assert found.lost == {}
    assert found.not_derained == {"a.mp4": 1, "b.mp4": 1} and found.passed == 2
    assert found.failed == {"b.mp4": "no joining", "c.mp4": "no joining"} and found.failed_attempts == 3
    lines = list(found.lines())
    assert "failed: c.mp4: no joining" in lines
    assert "segments passed through or left out: a.mp4: 1" in lines
    (tmp_path / "dst" / "a.mp4").unlink()
    lost = status_of(job, Plan(path))
    assert lost.lost == {"a.mp4": "its result is gone"} and lost.files_done == 1
    assert "finished, but its result is gone: a.mp4" in list(lost.lines())


def test_a_line_of_a_log_has_the_rate_of_this_run_and_the_time_left() -> None:
    said: list[str] = []
    now = [0.0]
    lines = ProgressLines("archive", said.append, lambda: now[0], first=60, every=60, rate="fps")
    lines(1000, 4000, "")  # done by an earlier run
    now[0] = 100.0
    lines(1500, 4000, "2 failed attempts")
    assert said == ["archive: 2 failed attempts, 1500/4000, 5.0 fps, 8 min left"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (720, "12 min"), (12600, "3.5 h"), (535680, "6.2 days")]
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("s3://key:secret@bucket/x", "credentials do not belong"),
        ("sftp://me:secret@host/x", "mount other storage"),
        ("rtsp://me:secret@host/x", "cannot be SRC or DST"),
        (str(Path("s3://bucket/secret")), "write s3://BUCKET"),
        ("s3://", "write s3://BUCKET"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(place: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        storage_at(place)
    assert "secret" not in str(refused.value)


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    assert storage_at(f"file://{tmp_path}/a b").address("c.mp4") == str(tmp_path / "a b" / "c.mp4")
