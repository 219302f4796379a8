"""``--skip-dry``: recordings without rain are copied."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from granet.synthetic.rain import add_rain, render_rain, sample_rain
from runtime.archive.driver import Driver, Tally
from runtime.archive.job_folder import JobFolder
from runtime.archive.plan import Plan, PlannedFile, PlanWriter
from runtime.archive.pool import LocalPool
from runtime.archive.shards import Shard
from runtime.archive.status import status_of
from runtime.archive.storage.local import LocalStorage
from runtime.archive.tasks import Task, Work, Worker
from runtime.live.dry_skipper import DRY_BELOW, EVERY
from runtime.sinks.video.encoding import Encoding
from runtime.views.rain_strength import rain_strength
from tests.media import numbered, read_clip
from tests.runtime.archive.recordings import GOP, SETTINGS, made_job, make_recording, planned
from tests.runtime.views.test_faint_rain import faint

SIZE = (120, 160)


def make_rainy(path: Path, rainy: Callable[[int], bool], **settings: Any) -> PlannedFile:
    """Thirty frames; those for which ``rainy`` holds have rain."""
    rain = render_rain(sample_rain(np.random.default_rng(3), 1.0), *SIZE)
    plain = [numbered(i % 8, *SIZE) for i in range(30)]
    frames = [add_rain(each, rain) if rainy(i) else each for i, each in enumerate(plain)]
    return planned(make_recording(path, frames=frames, sound="aac", **settings))


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    return made_job(tmp_path / "dst")


def driven(
    job: JobFolder, files: list[PlannedFile], model: Path, shards: list[Shard | None] | None = None
) -> list[Tally]:
    tallies = []
    for shard in shards or [None]:
        work = Work(job.destination, job.job, model, "cpu", "onnxruntime", skip_dry=True)
        with LocalPool(work, 1) as pool:
            total = sum(file.frames for file in files)
            tallies.append(Driver(job, pool, files, total, shard=shard, copy_dry=True).run())
    return tallies


def test_a_dry_recording_is_copied_and_needs_no_model(job: JobFolder, tmp_path: Path) -> None:
    file = make_rainy(tmp_path / "a.mp4", lambda index: False)
    (tally,) = driven(job, [file], tmp_path / "no-model.onnx")
    assert (tally.files, tally.done_frames, tally.failed) == (1, 30, {})
    assert (job.destination / "a.mp4").read_bytes() == Path(file.path).read_bytes()
    plan = job.root / "plan-0001.jsonl"
    plan.write_bytes(b"".join(PlanWriter(SETTINGS, "src").lines([file])))
    status = status_of(job, Plan(plan))
    assert (status.copied, status.frames_dry, status.is_complete) == (1, 30, True)
    assert status.hours_saved == pytest.approx(3 / 3600)
    assert any("copied without encoding: 1 recordings" in line for line in status.lines())


@pytest.mark.parametrize("rainy", [lambda i: True, lambda i: i == 25, lambda i: i < 5])
def test_a_recording_with_rain_anywhere_is_processed(
    job: JobFolder, tmp_path: Path, engines_onnx: Path, rainy: Callable[[int], bool]
) -> None:
    file = make_rainy(tmp_path / "a.mp4", rainy)
    (tally,) = driven(job, [file], engines_onnx)
    done = job.file(file.key)
    assert (tally.files, tally.done_frames) == (1, 30)
    assert done is not None and not done.copied and done.frames == 30
    assert len(read_clip(job.destination / "a.mp4").frames) == 30


@pytest.mark.parametrize(("count", "seconds", "every"), [(60, 6.0, EVERY), (20, 1.0, 1)])
def test_a_recording_with_rain_too_faint_for_one_frame_is_processed(
    job: JobFolder, tmp_path: Path, engines_onnx: Path, count: int, seconds: float, every: int
) -> None:
    frames = [faint(index // every) for index in range(count)]
    assert max(map(rain_strength, frames)) < DRY_BELOW
    settings = msgspec.structs.replace(SETTINGS, segment=seconds)
    file = planned(make_recording(tmp_path / "a.mp4", frames=frames), settings=settings)
    driven(job, [file], engines_onnx)
    done = job.file(file.key)
    assert done is not None and (done.copied, done.segments_copied, done.dry) == (False, 0, 0)


def test_a_dry_recording_whose_format_changes_is_passed_through(
    job: JobFolder, tmp_path: Path, engines_onnx: Path
) -> None:
    file = planned(make_recording(tmp_path / "a.ts", 30))
    driven(job, [file], engines_onnx)
    done = job.file(file.key)
    assert done is not None and not done.copied and done.output == "a.ts.mkv"


@pytest.mark.parametrize(
    ("encoding", "copied"),
    [
        (Encoding("hevc"), False),
        (Encoding(pix_fmt="yuv444p"), False),
        (Encoding("h264", 30, pix_fmt="yuv420p"), True),
        (Encoding("copy-codec"), True),
    ],
)
def test_a_copy_has_the_codec_and_the_pixel_format_that_are_asked_for(
    job: JobFolder, tmp_path: Path, engines_onnx: Path, encoding: Encoding, copied: bool
) -> None:
    file = make_rainy(tmp_path / "a.mp4", lambda index: False)
    work = Work(
        job.destination, job.job, engines_onnx, "cpu", "onnxruntime", skip_dry=True, encoding=encoding
    )
    worker = Worker(work)
    worker.do(Task(file, copying=True))
    assert (job.file(file.key) is not None) == copied
    if not copied:
        assert [worker.do(Task(file, each)).kind for each in file.segments] == ["done"] * len(file.segments)
        records = [job.segment(each.key) for each in file.segments]
        assert {each.outcome for each in records if each} == {"derained"}
        assert worker.do(Task(file)).kind == "done"
        with av.open(str(job.destination / "a.mp4")) as made:
            context = made.streams.video[0].codec_context
            assert encoding.is_met_by(context.codec.canonical_name, str(context.pix_fmt))


@pytest.mark.parametrize(("suffix", "is_open"), [(".mp4", 0), (".mkv", 0), (".ts", 0), (".mp4", 1)])
def test_dry_segments_are_copied_between_others(
    job: JobFolder, tmp_path: Path, engines_onnx: Path, suffix: str, is_open: int
) -> None:
    """The middle one of three segments rains. Where a group of pictures is open, a copy would lose frames."""
    options = {**GOP, "x264-params": f"open-gop={is_open}:scenecut=0"}
    file = make_rainy(tmp_path / f"a{suffix}", lambda i: 10 <= i < 20, options=options)
    worker = Worker(Work(job.destination, job.job, engines_onnx, "cpu", "onnxruntime", skip_dry=True))
    for task in (*(Task(file, segment) for segment in file.segments), Task(file)):
        assert worker.do(task).kind == "done"
    done = job.file(file.key)
    assert done is not None and done.frames == 30
    copied = done.segments_copied
    assert copied < 2 and any("encoded again: " in note for note in done.notes) if is_open else copied == 2
    before, after = read_clip(Path(file.path)), read_clip(job.destination / file.output)
    begin = before.times[0] - after.times[0]  # the clock of a transport stream begins anywhere
    assert begin == 0 or suffix == ".ts"
    assert after.times == pytest.approx([time - begin for time in before.times], abs=1e-3)
    same = [bool((old == new).all()) for old, new in zip(before.frames, after.frames, strict=True)]
    assert sum(same) == done.dry == 10 * copied and not any(same[10:20])
    assert len(after.sound) == len(before.sound)


def test_workers_without_a_coordinator_copy_too(job: JobFolder, tmp_path: Path, engines_onnx: Path) -> None:
    dry = make_rainy(tmp_path / "a.mp4", lambda index: False)
    wet = make_rainy(tmp_path / "b.mp4", lambda index: True)
    driven(job, [dry, wet], engines_onnx, [Shard(0, 2), Shard(1, 2)])
    records = [job.file(each.key) for each in (dry, wet)]
    assert [record is not None and record.copied for record in records] == [True, False]


def test_a_copy_that_is_not_complete_gets_no_name(
    job: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_rainy(tmp_path / "a.mp4", lambda index: False)
    monkeypatch.setattr(
        LocalStorage, "copy_to", lambda self, key, path: path.write_bytes(self.path(key).read_bytes()[:-1])
    )
    worker = Worker(Work(job.destination, job.job, tmp_path / "no-model.onnx", skip_dry=True))
    outcome = worker.do(Task(file, copying=True))
    assert outcome.kind == "failed" and "the copy differs" in outcome.reason
    assert not list(job.destination.glob("a*")) and job.file(file.key) is None


def test_a_result_of_somebody_else_is_not_replaced_by_a_copy(job: JobFolder, tmp_path: Path) -> None:
    file = make_rainy(tmp_path / "a.mp4", lambda index: False)
    (job.destination / "a.mp4").write_bytes(b"precious")
    (tally,) = driven(job, [file], tmp_path / "no-model.onnx")
    assert "a.mp4" in tally.failed
    assert (job.destination / "a.mp4").read_bytes() == b"precious"


def test_a_damaged_dry_segment_is_encoded_again(job: JobFolder, tmp_path: Path, engines_onnx: Path) -> None:
    """It rains in the last of three segments, and a packet of the first is damaged."""
    path = tmp_path / "a.mp4"
    make_rainy(path, lambda i: i >= 20, options={**GOP, "x264-params": "open-gop=0:scenecut=0"})
    with av.open(str(path)) as container:
        packet = [each for each in container.demux(video=0) if each.size][4]
        at, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[at : at + size] = b"\xff" * size
    path.write_bytes(content)
    file = planned(path)
    (tally,) = driven(job, [file], engines_onnx)
    done = job.file(file.key)
    assert tally.failed == {} and tally.lost == 0 and done is not None
    assert (done.segments_copied, done.frames) == (1, 29)
    assert any("encoded again" in note for note in done.notes)
