"""Records, segments and results that are damaged, removed or left by a crash."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.archive.attempt import process_segment
from runtime.archive.driver import Driver
from runtime.archive.job_folder import JobFolder
from runtime.archive.join import check_results, join_file
from runtime.archive.pass_engine import PassEngine
from runtime.archive.plan import PlannedFile
from runtime.sinks.part_file import PartFile
from tests.media import number_of, read_clip
from tests.runtime.archive.recordings import made_job, make_recording, planned
from tests.runtime.archive.test_driver import FaultyPool


@pytest.fixture
def file(tmp_path: Path) -> PlannedFile:
    return planned(make_recording(tmp_path / "a.mp4", 40))


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return made_job(tmp_path / "dst")


def publish_all(job: JobFolder, file: PlannedFile) -> list[Path]:
    records = [
        process_segment(job, file, each, PassEngine(), skip_dry=False, passing="t") for each in file.segments
    ]
    pairs = zip(file.segments, records, strict=True)
    return [job.root / "segments" / segment.key[:2] / record.file for segment, record in pairs]


def run_again(job: JobFolder, file: PlannedFile) -> Driver:
    driver = Driver(job, FaultyPool(job), [file], file.frames, pause=0.0)
    driver.run()
    return driver


def whole(job: JobFolder) -> bool:
    frames = read_clip(job.destination / "a.mp4").frames
    return [number_of(each) for each in frames] == [i % 14 for i in range(40)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_published_segment_that_is_damaged_is_made_again(
    job: JobFolder, file: PlannedFile, harm: Callable[[Path], object]
) -> None:
    harm(publish_all(job, file)[1])
    driver = run_again(job, file)
    assert driver.tally.files == 1 and driver.tally.failed == {} and whole(job)
    assert driver.tally.segments == 1 and driver.tally.done_frames == 40
    assert any("made again" in failure.reason for failure in job.failures())
    assert not list((job.root / "segments").rglob("*.mp4"))


def test_a_damaged_record_is_one_line_that_names_the_file(job: JobFolder, file: PlannedFile) -> None:
    publish_all(job, file)
    record = next((job.root / "segments").rglob("*.json"))
    record.write_text("{")
    with pytest.raises(UserError, match=r"\.json: is damaged .* remove it"):
        join_file(job, file, overwrite=False)
    assert not (job.destination / "a.mp4").exists()


@pytest.mark.parametrize("name", ["../../../../secret.mp4", "/etc/passwd", "a/b.mp4", "..\\\\b.mp4"])
def test_an_edited_record_does_not_lead_to_another_folder(
    job: JobFolder, file: PlannedFile, name: str
) -> None:
    publish_all(job, file)
    record = next((job.root / "segments").rglob("*.json"))
    (video,) = (path.name for path in record.parent.glob(f"{record.stem}.*.mp4"))
    record.write_text(record.read_text().replace(video, name))
    with pytest.raises(UserError, match="is damaged"):
        join_file(job, file, overwrite=False)


def test_a_crash_between_the_name_and_the_record_of_a_result_is_not_an_obstacle(
    job: JobFolder, file: PlannedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_all(job, file)

    class Crash(BaseException):
        pass

    def crash(*arguments: object) -> None:
        raise Crash

    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(JobFolder, "publish_file", crash)
        join_file(job, file, overwrite=False)
    assert whole(job) and job.file(file.key) is None
    check_results(job, [file], print, overwrite=False)  # type: ignore[arg-type]
    assert job.file(file.key) is not None
    assert run_again(job, file).tally.files == 1
    assert not list(job.root.rglob("*.intent")) and not list((job.root / "segments").rglob("*.mp4"))


def test_a_foreign_file_is_not_taken_for_the_result(job: JobFolder, file: PlannedFile) -> None:
    publish_all(job, file)
    (job.destination / "a.mp4").write_bytes(b"precious")
    with pytest.raises(UserError, match="add --overwrite"):
        check_results(job, [file], print, overwrite=False)  # type: ignore[arg-type]
    with pytest.raises(UserError):
        join_file(job, file, overwrite=False)
    assert (job.destination / "a.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("lose", [Path.unlink, cut])
def test_a_result_that_is_lost_later_is_told_and_made_again_on_request(
    job: JobFolder, file: PlannedFile, lose: Callable[[Path], None]
) -> None:
    publish_all(job, file)
    join_file(job, file, overwrite=False)
    lose(job.destination / "a.mp4")
    said: list[str] = []
    check_results(job, [file], said.append, overwrite=False)  # type: ignore[arg-type]
    assert len(said) == 1 and "a.mp4" in said[0] and "--overwrite" in said[0]
    assert job.file(file.key) is not None  # results may have been moved on purpose
    check_results(job, [file], said.append, overwrite=True)  # type: ignore[arg-type]
    assert len(said) == 1
    assert job.file(file.key) is None and not any(job.has_segment(each.key) for each in file.segments)
    publish_all(job, file)
    join_file(job, file, overwrite=True)
    assert whole(job)


def test_the_second_of_two_joiners_leaves_nothing(
    job: JobFolder, file: PlannedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_all(job, file)
    commit = PartFile.commit
    first: list[object] = []

    def late(part: PartFile) -> None:
        if not first:
            first.append(part)
            first.append(join_file(job, file, overwrite=False))
        commit(part)

    monkeypatch.setattr(PartFile, "commit", late)
    assert join_file(job, file, overwrite=False) == first[1]
    assert whole(job)
    assert [path.name for path in job.destination.iterdir() if path.is_file()] == ["a.mp4"]


@pytest.mark.parametrize("what", ["bytes", "noise"])
def test_a_recording_with_damage_inside_is_finished_and_the_damage_reported(
    tmp_path: Path, job: JobFolder, what: str
) -> None:
    path = make_recording(tmp_path / "b.ts", 60)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 188 * 188
    content[middle : middle + 188 * 4] = os.urandom(188 * 4) if what == "noise" else bytes(188 * 4)
    path.write_bytes(content)
    file = planned(path)
    tally = Driver(job, FaultyPool(job), [file], file.frames, tries=1, on_failure="gap", pause=0.0).run()
    done = job.file(file.key)
    assert tally.files == 1 and done is not None
    assert 40 <= done.frames <= 60
    assert done.frames == len(read_clip(job.destination / file.output).frames)
    assert done.notes, "the report says nothing of the damage"


def test_the_video_of_a_segment_may_be_larger_than_a_model(
    job: JobFolder, file: PlannedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.artefacts.manifest.MODEL_BYTES", 100)
    publish_all(job, file)
    assert join_file(job, file, overwrite=False).frames == 40
