"""Archives in an object store: a real S3 server on loopback."""

import importlib.util
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from granet.app.credentials import mask
from granet.errors import UserError
from runtime.archive.attempt import ChangedInputError, process_segment
from runtime.archive.driver import Driver
from runtime.archive.inputs import Selection, check_apart, find_recordings
from runtime.archive.job_folder import JobFolder
from runtime.archive.join import check_results
from runtime.archive.lock import is_running, only_job
from runtime.archive.options import ArchiveOptions, WorkerOptions
from runtime.archive.pass_engine import PassEngine
from runtime.archive.plan import PlannedFile
from runtime.archive.planning import make_plan, plan_file
from runtime.archive.pool import Pool
from runtime.archive.run import run_archive
from runtime.archive.selection import Recording
from runtime.archive.status import current_job, status_of
from runtime.archive.storage.conditional import check_conditional
from runtime.archive.storage.place import storage_at, stored
from runtime.archive.storage.schemes import filesystem
from runtime.archive.tasks import Outcome, Task, Work, Worker
from runtime.archive.worker import run_worker
from tests.media import read_clip
from tests.runtime.archive.recordings import SETTINGS, make_recording
from tests.runtime.archive.s3_server import KEY, SECRET, S3Server, objects, put, s3_server
from tests.runtime.archive.test_driver import FaultyPool


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    filesystem("s3").mkdir(name)
    return name


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A recording of 40 frames, in 4 segments of a second."""
    return make_recording(tmp_path_factory.mktemp("clip") / "a.mp4", 40).read_bytes()


@pytest.fixture
def file(bucket: str, clip: bytes) -> PlannedFile:
    planned = plan_file(Recording(put(bucket, "src/a.mp4", clip), "a.mp4"), SETTINGS)
    assert not planned.problem and len(planned.segments) == 4
    return planned


@pytest.fixture
def job(bucket: str) -> JobFolder:
    made = JobFolder(storage_at(f"s3://{bucket}/dst"), SETTINGS.job)
    made.make()
    return made


def frames_at(folder: Path, content: bytes) -> int:
    (folder / "result.mp4").write_bytes(content)
    return len(read_clip(folder / "result.mp4").frames)


class InProcessPool(Pool):
    """Real workers, one task at a time, in this process."""

    def __init__(self, work: Work) -> None:
        self.size, self._worker = 1, Worker(work)
        self._tasks: list[Task] = []

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def free(self) -> int:
        return self.size - len(self._tasks)

    def wait(self, seconds: float) -> Sequence[tuple[Task, Outcome]]:
        task = self._tasks.pop()
        return [(task, self._worker.do(task))]

    def close(self) -> None:
        self._worker.close()


def test_a_bucket_is_mirrored_resumed_and_holds_no_credentials(
    bucket: str, clip: bytes, tmp_path: Path, engines_onnx: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put(bucket, "src/day=1/a b#ü.mp4", clip)
    put(bucket, "src/broken.mkv", b"no video")
    options: dict[str, Any] = {
        "source": f"s3://{bucket}/src", "destination": f"s3://{bucket}/dst", "segment": "2s",
        "model": str(engines_onnx), "backend": "onnxruntime", "as_json": True,
    }  # fmt: skip
    with pytest.raises(UserError, match=r"1 of 2 recordings were not finished: broken\.mkv"):
        run_archive(ArchiveOptions(**options))
    filesystem("s3").rm_file(f"{bucket}/src/broken.mkv")
    capfd.readouterr()
    run_archive(ArchiveOptions(**options))
    said = capfd.readouterr()
    status = json.loads(said.out)
    assert (status["files_done"], status["frames_done"], status["complete"]) == (1, 40, True)
    made = objects(f"s3://{bucket}/dst")
    results = {key: content for key, content in made.items() if not key.startswith(".granet-archive")}
    assert list(results) == ["day=1/a b#ü.mp4"] and frames_at(tmp_path, *results.values()) == 40
    assert b"data:image/jpeg" in made[".granet-archive/report.html"]
    assert not [key for key in made if "leases" in key or "probe" in key or ".alive" in key]
    assert not [key for key in made if "segments" in key and not key.endswith(".json")]
    written = b"".join(made.values()) + (said.out + said.err).encode()
    assert KEY.encode() not in written and SECRET.encode() not in written


def test_workers_share_a_job_between_a_directory_and_a_bucket(
    bucket: str, clip: bytes, tmp_path: Path, engines_onnx: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.mp4").write_bytes(clip)
    common: dict[str, Any] = {"destination": f"s3://{bucket}", "model": str(engines_onnx)}
    run_archive(ArchiveOptions(source=str(tmp_path / "src"), plan_only=True, **common))
    assert status_of(*current_job(storage_at(f"s3://{bucket}"))).files_done == 0
    run_worker(WorkerOptions(shard="0/1", backend="onnxruntime", **common))
    assert frames_at(tmp_path, objects(f"s3://{bucket}")["a.mp4"]) == 40


def test_a_bucket_is_derained_into_a_directory(file: PlannedFile, tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "dst", SETTINGS.job)
    job.make()
    assert Driver(job, FaultyPool(job), [file], file.frames, pause=0.0).run().files == 1
    assert len(read_clip(tmp_path / "dst" / "a.mp4").frames) == 40


def test_the_first_attempt_wins_and_a_late_twin_is_discarded(job: JobFolder, file: PlannedFile) -> None:
    first, twin = (
        process_segment(job, file, file.segments[1], PassEngine(), skip_dry=False, passing=why)
        for why in ("first", "twin")
    )
    assert first == twin == job.segment(file.segments[1].key) and first.reason == "first"
    kept = [key for key in objects(str(job.storage)) if key.endswith(".mp4")]
    assert [Path(key).name for key in kept] == [first.file]


def test_a_request_whose_answer_was_lost_is_no_twin(bucket: str) -> None:
    storage = storage_at(f"s3://{bucket}")
    assert storage.create("record", [b"mine"]) and storage.create("record", [b"mine"])
    assert not storage.create("record", [b"another"]) and storage.read("record") == b"mine"


def test_a_result_of_somebody_else_is_not_replaced(job: JobFolder, file: PlannedFile) -> None:
    plan = make_plan(job, [Recording(file.path, "a.mp4")], SETTINGS, "src", lambda text: None)
    draft = job.storage.draft("a.mp4", overwrite=False)
    draft.path.write_bytes(b"ours")
    job.storage.replace("a.mp4", b"precious")  # after the last check
    with pytest.raises(UserError, match="created by another program"):
        draft.commit()
    draft.discard()
    assert job.storage.read("a.mp4") == b"precious" and not draft.path.exists()
    with pytest.raises(UserError, match="--overwrite"):
        check_results(job, plan, print, overwrite=False)


def test_storage_that_vanishes_pauses_the_run_and_its_return_continues_it(
    server: S3Server, job: JobFolder, file: PlannedFile, tmp_path: Path, engines_onnx: Path
) -> None:
    said: list[str] = []

    def bring_back(message: str) -> None:
        said.append(message.split(":")[0])
        if message.startswith("paused"):
            assert "does not answer" in message and SECRET not in message
            threading.Timer(0.2, server.start).start()

    with InProcessPool(Work(job.storage, job.job, engines_onnx, "cpu", "onnxruntime")) as pool:
        driver = Driver(job, pool, [file], file.frames, tries=1, announce=bring_back, pause=0.1)
        submit, submitted = pool.submit, []

        def vanish(task: Task) -> None:
            submitted.append(task)
            if len(submitted) in (2, 6):  # before a segment, and before the joining
                server.stop()
            submit(task)

        pool.submit = vanish  # type: ignore[method-assign]
        tally = driver.run()
    assert tally.files == 1 and tally.failed == {} and tally.lost == 0
    assert said == ["paused", "continued"] * 2
    assert frames_at(tmp_path, objects(str(job.storage))["a.mp4"]) == 40


def test_a_recording_that_is_replaced_is_noticed_by_its_entity_tag(
    job: JobFolder, file: PlannedFile, bucket: str, clip: bytes
) -> None:
    middle = len(clip) // 2
    source = stored(put(bucket, "src/long.mp4", clip + bytes(300_000)))
    before = source.identity()
    put(bucket, "src/long.mp4", clip + bytes(150_000) + b"x" + bytes(149_999))
    after = source.identity()
    assert before.fingerprint == after.fingerprint and before.tag != after.tag
    put(bucket, "src/a.mp4", clip[:middle] + b"x" + clip[middle + 1 :])
    with pytest.raises(ChangedInputError, match="changed after it was planned"):
        process_segment(job, file, file.segments[0], PassEngine(), skip_dry=False)
    filesystem("s3").rm_file(f"{bucket}/src/a.mp4")
    with pytest.raises(ChangedInputError, match="was removed"):
        process_segment(job, file, file.segments[0], PassEngine(), skip_dry=False)


def test_one_job_at_a_time_runs_in_a_bucket(job: JobFolder) -> None:
    other = JobFolder(job.storage, "other")
    with only_job(job), only_job(job):
        assert is_running(job) and not is_running(other)
        with pytest.raises(UserError, match=f"job {job.job} .* is running here"), only_job(other):
            pass
    assert not is_running(job)
    with only_job(other):
        pass


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("", ["a.mp4", "night/b.ts", "night/deep/c.mkv"]),
        ("/night/", ["b.ts", "deep/c.mkv"]),
        ("/a.mp4", ["a.mp4"]),
        ("/list.txt", ["b.ts", "deep/c.mkv"]),
        ("/**/*.[mt][ks]*", ["night/b.ts", "night/deep/c.mkv"]),
        ("/night/*/*", ["deep/c.mkv"]),
    ],
)
def test_recordings_are_found_as_in_directories(bucket: str, source: str, names: list[str]) -> None:
    for key in ("a.mp4", "night/b.ts", "night/deep/c.mkv", ".hidden/d.mp4", "notes.pdf"):
        put(bucket, f"src/{key}", b"x")
    put(bucket, "src/list.txt", b"# mine\nnight/b.ts\nnight/deep/c.mkv\n")
    found = find_recordings(f"s3://{bucket}/src{source}", Selection())
    assert [each.name for each in found] == names and all(each.stored.exists() for each in found)


@pytest.mark.parametrize("pair", [("src", "src"), ("src", "src/out"), ("src/in", "src"), ("", "out")])
def test_source_and_destination_in_a_bucket_must_not_contain_each_other(
    server: S3Server, pair: tuple[str, str]
) -> None:
    with pytest.raises(UserError, match="lies inside"):
        check_apart(*(f"s3://bucket/{folder}".rstrip("/") for folder in pair))
    with pytest.raises(UserError, match="lies inside"):
        check_apart("s3://bucket/src", "s3a://bucket/src")
    check_apart("s3://bucket/src", "s3://bucket/src-out")
    check_apart("s3://bucket/src", "/srv/out")


def test_a_store_that_ignores_conditions_is_refused() -> None:
    class Careless:
        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None:
            pass

        def exists(self, path: str) -> bool:
            return False

    with pytest.raises(UserError, match="If-None-Match"):
        check_conditional(Careless(), "bucket", "s3://bucket")


def test_the_credentials_of_a_profile_are_masked_by_value(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[mine]\naws_access_key_id = AKIAOFAPROFILE\naws_secret_access_key = sesame/opens\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    filesystem.cache_clear()
    filesystem("s3")
    filesystem.cache_clear()
    assert mask("AKIAOFAPROFILE has sesame/opens, or sesame%2Fopens") == "*** has ***, or ***"


def found_at(address: str) -> str:
    """The one line that a user reads who names this source."""
    filesystem.cache_clear()
    with pytest.raises(UserError) as refused:
        find_recordings(address, Selection())
    filesystem.cache_clear()
    line = str(refused.value)
    assert "\n" not in line and SECRET not in line and KEY not in line
    return line


def test_mistakes_are_one_line(server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such bucket" in found_at("s3://there-is-none/src")
    assert "no such object or folder" in found_at(f"s3://{bucket}/missing.mp4")
    put(bucket, "list.txt", b"gone.mp4\n")
    assert "line 1: there is no file gone.mp4" in found_at(f"s3://{bucket}/list.txt")
    with server.only_known_keys():
        assert "permission denied" in found_at(f"s3://{bucket}/list.txt")
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        assert "no credentials" in (line := found_at(f"s3://{bucket}/src")) and "AWS_PROFILE" in line
        patch.setenv("AWS_PROFILE", "nobody")
        assert "nobody" in found_at(f"s3://{bucket}/src")
    with monkeypatch.context() as patch:
        find = importlib.util.find_spec
        absent = "granet.app.extras.find_spec"
        patch.setattr(absent, lambda name: None if name == "s3fs" else find(name))
        assert "pip install s3fs" in found_at(f"s3://{bucket}/src")
    assert "cannot be SRC or DST" in found_at("hdfs://host/src")
