"""Real processes that are killed and stopped."""

import os
import random
import signal
import time
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from runtime.archive.driver import Driver
from runtime.archive.job_folder import JobFolder
from runtime.archive.plan import PlannedFile
from runtime.archive.pool import LocalPool
from runtime.archive.tasks import Task, Work
from tests.media import read_clip
from tests.patience import wait_for
from tests.runtime.archive.recordings import SETTINGS, made_job, make_recording, planned

KILLS = 50


LITE = Path(__file__).parents[3] / "runtime" / "models" / "lite.onnx"
"""A trained network: processes agree on it to the bit. Near-ties of random weights may fall either way."""


def work_on(job: JobFolder, model: Path) -> Work:
    return Work(job.destination, job.job, model, "cpu", "onnxruntime")


def orphans(job: JobFolder) -> list[Path]:
    return [path for path in job.destination.iterdir() if path.suffix in (".mp4", ".mkv")]


@pytest.fixture
def file(tmp_path: Path) -> PlannedFile:
    return planned(make_recording(tmp_path / "a.mp4", 70))


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return made_job(tmp_path / "dst", SETTINGS)


def test_workers_that_are_killed_at_random_moments_lose_nothing(job: JobFolder, file: PlannedFile) -> None:
    dice = random.Random(20261126)
    files = [file, planned(make_recording(Path(file.path).with_name("b.mkv"), 70))]
    kills = 0
    with LocalPool(work_on(job, LITE), 2) as pool:
        driver = Driver(job, pool, files, 140, tries=200)
        wait = pool.wait

        def killing(seconds: float) -> object:
            nonlocal kills
            time.sleep(dice.uniform(0, 0.1))
            if kills < KILLS and (victims := active_children()):
                dice.choice(victims).kill()
                kills += 1
            return wait(seconds)

        pool.wait = killing  # type: ignore[method-assign, assignment]
        tally = driver.run()
    assert kills == KILLS and tally.files == 2 and tally.failed == {}
    assert sorted(path.name for path in orphans(job)) == ["a.mp4", "b.mkv"]
    undisturbed = made_job(job.destination.with_name("undisturbed"))
    with LocalPool(work_on(undisturbed, LITE), 1) as pool:
        assert Driver(undisturbed, pool, files, 140).run().files == 2
    for each in files:
        made, expected = (read_clip(folder.destination / each.output) for folder in (job, undisturbed))
        assert len(made.frames) == 70 and made.times == expected.times
        assert all(np.array_equal(a, b) for a, b in zip(made.frames, expected.frames, strict=True))


def test_a_worker_that_is_stopped_is_replaced_and_its_late_result_discarded(
    job: JobFolder, file: PlannedFile, engines_onnx: Path
) -> None:
    segment = file.segments[0]
    with LocalPool(work_on(job, engines_onnx), 1, patience=0.5) as pool:
        pool.submit(Task(file, segment))
        (stopped,) = active_children()
        os.kill(stopped.pid or 0, signal.SIGSTOP)
        late: list[object] = []
        wait_for(lambda: late.extend(pool.wait(0.1)) or late)
        assert late[0][1].kind == "lost"  # type: ignore[index]
        with LocalPool(work_on(job, engines_onnx), 1) as patient:
            patient.submit(Task(file, segment))
            done: list[object] = []
            wait_for(lambda: done.extend(patient.wait(0.1)) or done)
        record = job.segment(segment.key)
        os.kill(stopped.pid or 0, signal.SIGCONT)
        # The twin works on until it finds the record and removes its own video; then the pool ends it.
        wait_for(lambda: not pool.wait(0.1) and not stopped.is_alive())
    assert done[0][1].kind == "done" and record is not None  # type: ignore[index]
    assert job.segment(segment.key) == record
    assert [path.name for path in (job.root / "segments").rglob("*.mp4")] == [record.file]


def test_a_worker_without_its_model_reports_one_line(
    job: JobFolder, file: PlannedFile, tmp_path: Path
) -> None:
    with LocalPool(work_on(job, tmp_path / "gone.onnx"), 1) as pool:
        pool.submit(Task(file, file.segments[0]))
        ended: list[object] = []
        wait_for(lambda: ended.extend(pool.wait(0.1)) or ended)
    outcome = ended[0][1]  # type: ignore[index]
    assert outcome.kind == "failed" and "no such model file" in outcome.reason
