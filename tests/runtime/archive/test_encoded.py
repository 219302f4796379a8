"""``--codec``, ``--crf`` and their like, in an archive."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from runtime.archive.attempt import process_segment
from runtime.archive.join import join_file
from runtime.archive.plan import Plan, Settings
from runtime.archive.planning import plan_file
from runtime.archive.selection import Recording
from runtime.live.pipeline import Pipeline
from runtime.sinks.video.encoding import AUTO, Encoding
from runtime.sinks.video.sink import VideoSink
from runtime.sources.video.source import VideoSource
from tests.media import number_of, read_clip
from tests.runtime.archive.recordings import SETTINGS, LocalJob, made_job, make_recording, planned
from tests.runtime.archive.test_archive_cli import PLANNED, model, run
from tests.runtime.fakes import FakeEngine


def pix_fmt_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.video[0].codec_context.pix_fmt)


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.codec.canonical_name


def in_segments(job: LocalJob, path: Path, encoding: Encoding) -> Path:
    file = planned(path)
    assert len(file.segments) > 2
    for segment in file.segments:
        process_segment(job, file, segment, FakeEngine(invert=True), encoding=encoding, skip_dry=False)
    assert join_file(job, file, encoding=encoding, overwrite=False).frames == 70
    return job.destination / file.output


@pytest.mark.parametrize(
    ("name", "encoding", "codec"),
    [
        ("a.mp4", Encoding("hevc"), "hevc"),
        ("a.mkv", Encoding("hevc", pix_fmt="yuv420p10le"), "hevc"),
        ("a.mkv", Encoding("av1", crf=40), "av1"),
        ("a.mp4", Encoding("av1"), "av1"),
        ("a.mp4", Encoding("vp9", bitrate="400k"), "vp9"),
        ("a.mov", Encoding(AUTO, crf=30, preset="medium"), "h264"),
        ("a.mp4", Encoding("h264", bitrate="300k", pix_fmt="yuv444p"), "h264"),
    ],
)
def test_segments_of_every_codec_are_joined_as_one_run_writes_them(
    tmp_path: Path, name: str, encoding: Encoding, codec: str
) -> None:
    path = make_recording(tmp_path / name, 70, size=(64, 64), sound="aac", time_base=Fraction(1, 30000))
    joined = in_segments(made_job(tmp_path / "dst"), path, encoding)
    whole = tmp_path / f"whole{path.suffix}"
    with VideoSource(str(path), lambda note: None) as source:
        sink = VideoSink(str(whole), source.info, lambda note: None, overwrite=False, encoding=encoding)
        Pipeline(source, FakeEngine(invert=True), sink).run()
    made, expected = read_clip(joined), read_clip(whole)
    assert codec_of(joined) == codec_of(whole) == codec
    assert pix_fmt_of(joined) == pix_fmt_of(whole)
    assert made.times == expected.times and made.sound == expected.sound
    assert (made.rate, made.tags) == (expected.rate, expected.tags)
    assert [number_of(255 - each) for each in made.frames] == [i % 14 for i in range(70)]


def test_the_codec_of_the_recording_is_kept_by_default(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=error:keyint=10:scenecut=0"}
    path = make_recording(tmp_path / "a.mp4", 70, size=(64, 64), codec="libx265", options=options)
    assert codec_of(in_segments(made_job(tmp_path / "dst"), path, Encoding(AUTO))) == "hevc"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    make_recording(tmp_path / "src" / "a.mp4", 40, size=(64, 64))
    return tmp_path / "src"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--codec", "mpeg9"), "--codec mpeg9: use one of auto, h264"),
        (("--crf", "20", "--bitrate", "1M"), "--crf with --bitrate"),
        (("--crf", "60"), "--crf 60: libx264 takes 0 to 51"),
        (("--preset", "warp"), "--preset warp: libx264 takes"),
        (("--codec", "vp9", "--preset", "slow"), "--preset with libvpx-vp9"),
        (("--codec", "h264_nvenc"), "needs hardware or a driver"),
        (("--codec", "vp9", "--pix-fmt", "p010le"), "cannot encode --pix-fmt p010le"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_planned(
    source: Path, options: tuple[str, ...], message: str
) -> None:
    refused = run(source, source.parent / "dst", "--model", "lite", *options)
    assert refused.returncode in (1, 2) and message in refused.stderr
    assert len(refused.stderr.strip().splitlines()) <= 2 and not (source.parent / "dst").exists()


def test_a_format_that_cannot_hold_the_codec_is_refused_and_can_be_left_out(source: Path) -> None:
    make_recording(source / "b.webm", 20, codec="libvpx-vp9", options={"g": "10"})
    refused = run(source, source.parent / "dst", "--model", "lite", "--codec", "hevc")
    assert refused.returncode == 1 and not (source.parent / "dst").exists()
    assert "b.webm: this format cannot hold hevc" in refused.stderr and "--exclude '*.webm'" in refused.stderr
    assert (
        run(source, source.parent / "dst", "--codec", "hevc", *PLANNED, "--exclude", "*.webm").returncode == 0
    )


def test_a_recording_that_the_encoder_does_not_take_fails_alone(tmp_path: Path) -> None:
    options = Encoding("h264", pix_fmt="yuv420p")
    path = make_recording(tmp_path / "odd.mkv", 20, size=(47, 63), pix_fmt="yuv444p")
    settings = Settings("fake.onnx", "0" * 64, "1.0", 1.0, encoding=options)
    assert "give --pix-fmt yuv444p" in plan_file(Recording(path, path.name), settings).problem


def test_other_codec_options_are_another_job_and_workers_read_them_in_the_plan(
    source: Path, engines_onnx: Path
) -> None:
    dst = source.parent / "dst"
    assert run(source, dst, *PLANNED, "--model", engines_onnx).returncode == 0
    second = run(source, dst, *PLANNED, "--model", engines_onnx, "--codec", "hevc", "--crf", "30")
    assert second.returncode == 0 and "this is a new job" in second.stderr
    plans = [Plan(path) for path in dst.glob(".granet-archive/*/plan-*.jsonl")]
    assert {plan.settings.encoding for plan in plans} == {Encoding(AUTO), Encoding("hevc", 30)}
    worker = run("worker", dst, "--model", engines_onnx, "--backend", "onnxruntime", "--shard", "0/1")
    assert worker.returncode == 0, worker.stderr
    assert codec_of(dst / "a.mp4") == "hevc" and len(read_clip(dst / "a.mp4").frames) == 40


def test_a_worker_without_the_hardware_is_refused(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    hardware = ("--codec", "h264_nvenc")
    assert run(source, dst, *PLANNED, "--model", engines_onnx, *hardware).returncode == 0
    worker = run("worker", dst, "--model", engines_onnx, "--backend", "onnxruntime", "--shard", "0/1")
    assert worker.returncode == 1 and "--codec h264_nvenc" in worker.stderr
    assert "needs hardware or a driver" in worker.stderr


def test_local_workers_encode_as_asked(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    done = run(source, dst, *model(engines_onnx), "--codec", "hevc", "--pix-fmt", "yuv420p10le")
    assert done.returncode == 0, done.stderr
    assert (codec_of(dst / "a.mp4"), pix_fmt_of(dst / "a.mp4")) == ("hevc", "yuv420p10le")
    page = (dst / ".granet-archive" / "report.html").read_text()
    assert "a.mp4: yuv420p10le has room for 10 bits" in page


def test_every_encoding_has_keys_of_its_own() -> None:
    jobs = {
        Settings("m", "0" * 64, "1", 1.0, encoding=each).job
        for each in (
            Encoding(AUTO),
            Encoding("hevc"),
            Encoding(AUTO, crf=30),
            Encoding(AUTO, preset="slow"),
            Encoding(AUTO, bitrate="1M"),
            Encoding(AUTO, pix_fmt="yuv444p"),
        )
    }
    assert len(jobs) == 6 and SETTINGS.job not in jobs
