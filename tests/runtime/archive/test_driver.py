from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.archive.attempt import process_segment
from runtime.archive.driver import Driver, OnFailure
from runtime.archive.job_folder import JobFolder
from runtime.archive.join import join_file
from runtime.archive.pass_engine import PassEngine
from runtime.archive.plan import PlannedFile
from runtime.archive.pool import Pool
from runtime.archive.shards import Shard
from runtime.archive.tasks import Outcome, Task
from tests.media import read_clip
from tests.runtime.archive.recordings import made_job, make_recording, planned

Fault = Callable[[Task, int], str]


class FaultyPool(Pool):
    """Does tasks in this process; ``fault`` gives the kind of failure of a task's n-th try, or nothing."""

    def __init__(self, job: JobFolder, fault: Fault = lambda task, tries: "", size: int = 3) -> None:
        self.size, self._job, self._fault = size, job, fault
        self._tasks: list[Task] = []
        self.tries: Counter[str] = Counter()
        self.most = 0

    def free(self) -> int:
        return self.size - len(self._tasks)

    def submit(self, task: Task) -> None:
        self._tasks.append(task)
        self.most = max(self.most, len(self._tasks))

    def wait(self, seconds: float) -> Sequence[tuple[Task, Outcome]]:
        task = self._tasks.pop()
        self.tries[task.key] += 1
        if kind := self._fault(task, self.tries[task.key]):
            return [(task, Outcome(task.key, kind, f"it is {kind}"))]  # type: ignore[arg-type]
        try:
            return [(task, self._done(task))]
        except UserError as error:
            return [(task, Outcome(task.key, "failed", str(error)))]

    def _done(self, task: Task) -> Outcome:
        if task.segment is None:
            record = join_file(self._job, task.file, overwrite=False)
            return Outcome(task.key, "done", frames=record.frames)
        made = process_segment(
            self._job, task.file, task.segment, PassEngine(), skip_dry=False, passing=task.passing
        )
        return Outcome(task.key, "done", frames=made.frames)

    def close(self) -> None:
        pass


@pytest.fixture
def files(tmp_path: Path) -> list[PlannedFile]:
    return [planned(make_recording(tmp_path / name, 40)) for name in ("a.mp4", "b.mkv")]


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return made_job(tmp_path / "dst")


def driven(
    job: JobFolder, pool: Pool, files: list[PlannedFile], on_failure: OnFailure = "stop", **options: object
) -> tuple[Driver, list[str]]:
    said: list[str] = []
    total = sum(file.frames for file in files)
    driver = Driver(
        job, pool, files, total, on_failure=on_failure, announce=said.append, pause=0.0, **options
    )  # type: ignore[arg-type]
    return driver, said


def frames_of(job: JobFolder, file: PlannedFile) -> int:
    return len(read_clip(job.destination / file.output).frames)


def test_every_recording_is_finished_with_bounded_tasks(job: JobFolder, files: list[PlannedFile]) -> None:
    pool = FaultyPool(job)
    driver, said = driven(job, pool, files)
    tally = driver.run()
    assert (tally.files, tally.failed, tally.frames, said) == (2, {}, 80, [])
    assert pool.most <= 3 and [frames_of(job, file) for file in files] == [40, 40]


def test_a_second_run_does_nothing(job: JobFolder, files: list[PlannedFile]) -> None:
    driven(job, FaultyPool(job), files)[0].run()
    pool = FaultyPool(job)
    tally = driven(job, pool, files)[0].run()
    assert not pool.tries and (tally.files, tally.frames, tally.done_frames) == (2, 0, 80)


@pytest.mark.parametrize("kind", ["failed", "lost"])
def test_a_segment_that_fails_twice_is_tried_a_third_time(
    job: JobFolder, files: list[PlannedFile], kind: str
) -> None:
    pool = FaultyPool(job, lambda task, tries: kind if tries < 3 else "")
    tally = driven(job, pool, files)[0].run()
    assert tally.files == 2 and tally.failed == {} and set(pool.tries.values()) == {3}
    assert sum(1 for _ in job.failures()) == tally.lost == 2 * len(pool.tries)


def broken(file: PlannedFile, index: int = 1, *, also_passing: bool = False) -> Fault:
    key = file.segments[index].key
    return lambda task, tries: "failed" if task.key == key and (also_passing or not task.passing) else ""


def test_stop_ends_the_run_and_names_the_recording(job: JobFolder, files: list[PlannedFile]) -> None:
    driver, _ = driven(job, FaultyPool(job, broken(files[0])), files)
    with pytest.raises(UserError, match=r"a\.mp4: a segment failed 3 times: it is failed"):
        driver.run()
    assert not (job.destination / "a.mp4").exists()


def test_passthrough_keeps_the_original_frames(job: JobFolder, files: list[PlannedFile]) -> None:
    driver, said = driven(job, FaultyPool(job, broken(files[0])), files, "passthrough")
    tally = driver.run()
    done = job.file(files[0].key)
    assert tally.files == 2 and done is not None and (done.passed, done.gaps, done.frames) == (1, 0, 40)
    assert len(said) == 1 and "passed through" in said[0]


def test_a_gap_leaves_the_frames_out_and_is_recorded(job: JobFolder, files: list[PlannedFile]) -> None:
    driver, said = driven(job, FaultyPool(job, broken(files[0])), files, "gap")
    driver.run()
    done = job.file(files[0].key)
    missing = files[0].segments[1].frames
    assert done is not None and (done.passed, done.gaps, done.frames) == (0, 1, 40 - missing)
    assert frames_of(job, files[0]) == 40 - missing and "left out" in said[0]


def test_a_segment_that_cannot_even_pass_becomes_a_gap(job: JobFolder, files: list[PlannedFile]) -> None:
    fault = broken(files[0], also_passing=True)
    driven(job, FaultyPool(job, fault), files, "passthrough")[0].run()
    done = job.file(files[0].key)
    assert done is not None and (done.passed, done.gaps) == (0, 1)


def test_a_recording_that_changed_fails_alone(job: JobFolder, files: list[PlannedFile]) -> None:
    key = files[0].segments[0].key
    pool = FaultyPool(job, lambda task, tries: "hopeless" if task.key == key else "")
    tally = driven(job, pool, files)[0].run()
    assert tally.failed == {"a.mp4": "it is hopeless"} and tally.files == 1
    assert frames_of(job, files[1]) == 40 and not (job.destination / "a.mp4").exists()


def test_storage_that_is_away_pauses_the_run_and_costs_no_try(
    job: JobFolder, files: list[PlannedFile]
) -> None:
    pool = FaultyPool(job, lambda task, tries: "storage" if tries < 9 and task.segment else "")
    driver, said = driven(job, pool, files[:1])
    assert driver.run().files == 1
    assert said[0].startswith("paused: it is storage") and said[1].startswith("continued")
    assert not list(job.failures())


def test_a_planned_problem_is_a_failed_recording(job: JobFolder, files: list[PlannedFile]) -> None:
    bad = PlannedFile("", "c.mp4", "c.mp4", "c.mp4", 0, 0, "", problem="is not a video")
    tally = driven(job, FaultyPool(job), [*files, bad])[0].run()
    assert tally.files == 2 and tally.failed == {"c.mp4": "is not a video"}


def test_stopped_it_submits_nothing_more_and_goes_on_later(job: JobFolder, files: list[PlannedFile]) -> None:
    pool = FaultyPool(job, size=1)
    driver, _ = driven(job, pool, files)
    done: list[int] = []
    wait = pool.wait

    def once(seconds: float) -> Sequence[tuple[Task, Outcome]]:
        done.append(1)
        driver.stop()
        return wait(seconds)

    pool.wait = once  # type: ignore[method-assign]
    driver.run()
    assert len(done) == 1
    assert driven(job, FaultyPool(job), files)[0].run().files == 2


def test_a_worker_that_ends_with_the_run_is_no_failure(job: JobFolder, files: list[PlannedFile]) -> None:
    driver, _ = driven(job, FaultyPool(job, lambda task, tries: driver.stop() or "lost"), files)
    driver.run()
    assert not list(job.failures()) and driver.tally.lost == 0


def test_shares_together_finish_the_job(job: JobFolder, files: list[PlannedFile]) -> None:
    tallies = [
        driven(job, FaultyPool(job, size=1), files, shard=Shard(index, 3))[0].run() for index in (2, 0, 1, 1)
    ]
    assert [frames_of(job, file) for file in files] == [40, 40]
    assert sum(tally.frames for tally in tallies) == 80
