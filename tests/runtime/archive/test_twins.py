"""Two attempts at one thing, of which the other is first."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.archive.attempt import process_segment
from runtime.archive.driver import Driver
from runtime.archive.job_folder import Failure
from runtime.archive.join import join_file, tidy
from runtime.archive.pass_engine import PassEngine
from runtime.archive.plan import PlannedFile
from runtime.archive.tasks import Outcome, Task
from runtime.engines.base import Derained
from runtime.media.frame import Pixels
from runtime.sinks.part_file import PartFile
from tests.media import read_clip
from tests.runtime.archive.recordings import LocalJob, made_job, make_recording, planned
from tests.runtime.archive.test_driver import FaultyPool, driven


class Slow(PassEngine):
    """While it computes its last frame but one, when its video grows, twins finish the whole recording."""

    def __init__(self, job: LocalJob, file: PlannedFile, *, joins: bool) -> None:
        super().__init__()
        self._job, self._file, self._joins = job, file, joins
        self._left = file.segments[1].frames - 1

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        self._left -= 1
        if not self._left:
            publish_all(self._job, self._file)
            if self._joins:
                join_file(self._job, self._file, overwrite=False)
        return super().derain(frames, want_mask)


def publish_all(job: LocalJob, file: PlannedFile) -> None:
    for segment in file.segments:
        process_segment(job, file, segment, PassEngine(), skip_dry=False)


def videos(job: LocalJob) -> list[str]:
    return sorted(path.name for path in job.destination.rglob("*.mp4"))


@pytest.fixture
def file(tmp_path: Path) -> PlannedFile:
    return planned(make_recording(tmp_path / "a.mp4", 40))


@pytest.fixture
def job(tmp_path: Path) -> LocalJob:
    return made_job(tmp_path / "dst")


@pytest.mark.parametrize("joins", [False, True])
def test_an_attempt_that_a_twin_overtakes_has_its_result_and_leaves_nothing(
    job: LocalJob, file: PlannedFile, joins: bool
) -> None:
    segment = file.segments[1]
    record = process_segment(job, file, segment, Slow(job, file, joins=joins), skip_dry=False)
    assert record == job.segment(segment.key)
    join_file(job, file, overwrite=False)
    assert videos(job) == ["a.mp4"] and len(read_clip(job.destination / "a.mp4").frames) == 40


def test_an_attempt_whose_video_is_gone_without_a_twin_fails(
    job: LocalJob, file: PlannedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PartFile, "commit", lambda part: part.path.unlink())
    with pytest.raises(Exception, match=r"cannot be (read|decoded)|No such file"):
        process_segment(job, file, file.segments[1], PassEngine(), skip_dry=False)
    assert job.segment(file.segments[1].key) is None


@pytest.mark.parametrize("kind", ["lost", "failed"])
def test_a_worker_that_is_lost_after_its_last_step_is_no_failure(
    job: LocalJob, file: PlannedFile, kind: str
) -> None:
    class Pool(FaultyPool):
        def _done(self, task: Task) -> Outcome:
            super()._done(task)
            return Outcome(task.key, kind, "it died when all was done")  # type: ignore[arg-type]

    driver, said = driven(job, Pool(job), [file], tries=1)
    tally = driver.run()
    assert (tally.files, tally.lost, tally.failed, said) == (1, 0, {}, [])
    assert list(job.failures()) == [] and videos(job) == ["a.mp4"]


def test_a_segment_that_is_given_up_and_published_meanwhile_is_not_called_left_out(
    job: LocalJob, file: PlannedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = file.segments[-1]

    def overtaken(key: str, failure: Failure) -> None:
        process_segment(job, file, last, PassEngine(), skip_dry=False)

    pool = FaultyPool(job, lambda task, tries: "failed" if task.key == last.key else "")
    said: list[str] = []
    driver = Driver(job, pool, [file], 40, tries=1, on_failure="gap", announce=said.append, pause=0.0)
    monkeypatch.setattr(driver._job, "add_failure", overtaken)
    assert driver.run().files == 1 and said == []
    assert len(read_clip(job.destination / "a.mp4").frames) == 40


def test_a_killed_join_leaves_no_part_beside_the_result_of_its_twin(job: LocalJob, file: PlannedFile) -> None:
    publish_all(job, file)
    joins = (
        "import sys, time; from pathlib import Path; from runtime.sinks.part_file import PartFile\n"
        "part = PartFile(Path(sys.argv[1]), overwrite=False); print(flush=True); time.sleep(1000)"
    )
    command = [sys.executable, "-c", joins, str(job.destination / "a.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == b"\n"
            join_file(job, file, overwrite=False)
            alive = videos(job)
        finally:
            other.kill()
    assert alive == ["a.mp4", "a.part.mp4"], "the part of a process that lives is not touched"
    tidy(job, [file])  # type: ignore[arg-type]
    assert videos(job) == ["a.mp4"]


def test_nothing_is_tidied_before_the_last_recording_is_finished(job: LocalJob, file: PlannedFile) -> None:
    publish_all(job, file)
    before = videos(job)
    tidy(job, [file])  # type: ignore[arg-type]
    assert videos(job) == before and len(before) == len(file.segments)


def test_a_video_that_is_left_after_the_join_is_removed_at_the_end(job: LocalJob, file: PlannedFile) -> None:
    publish_all(job, file)
    join_file(job, file, overwrite=False)
    key = file.segments[0].key
    (job.root / "segments" / key[:2] / f"{key}.0123456789ab.part.mp4").write_bytes(b"of a killed attempt")
    tidy(job, [file])  # type: ignore[arg-type]
    assert videos(job) == ["a.mp4"] and job.segment(key) is not None


def test_a_damaged_segment_is_withdrawn_without_the_attempts_of_others(
    job: LocalJob, file: PlannedFile
) -> None:
    publish_all(job, file)
    segment = file.segments[0]
    record = job.segment(segment.key)
    assert record is not None
    other = job.root / "segments" / segment.key[:2] / f"{segment.key}.0123456789ab.part.mp4"
    other.write_bytes(b"grows")
    job.withdraw_segment(segment.key, record)
    assert job.segment(segment.key) is None and other.exists()
    assert not other.with_name(record.file).exists()
