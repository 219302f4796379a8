"""A recording in segments is the recording in one piece."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from av.stream import Disposition

from granet.errors import UserError
from runtime.archive.attempt import ChangedInputError, process_segment
from runtime.archive.job_folder import FileRecord, JobFolder, SegmentRecord
from runtime.archive.join import join_file
from runtime.archive.pass_engine import PassEngine
from runtime.archive.plan import PlannedFile
from runtime.live.pipeline import Pipeline
from runtime.sinks.video.sink import VideoSink
from runtime.sources.video.source import VideoSource
from tests.media import Read, number_of, numbered, read_clip
from tests.runtime.archive.recordings import GOP, made_job, make_recording, planned
from tests.runtime.fakes import FakeEngine


def in_one_piece(path: Path, output: Path) -> Read:
    with VideoSource(str(path), lambda note: None) as source:
        sink = VideoSink(str(output), source.info, lambda note: None, overwrite=False)
        Pipeline(source, FakeEngine(invert=True), sink).run()
    return read_clip(output)


def in_segments(job: JobFolder, file: PlannedFile) -> FileRecord:
    for segment in reversed(file.segments):
        process_segment(job, file, segment, FakeEngine(invert=True), skip_dry=False)
    return join_file(job, file, overwrite=False)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".avi"])
def test_frames_timestamps_and_sound_equal_those_of_one_run(tmp_path: Path, suffix: str) -> None:
    sound = "mp2" if suffix in (".avi", ".ts") else "aac"
    base = Fraction(1, 10) if suffix == ".avi" else Fraction(1, 30000)
    path = make_recording(
        tmp_path / f"a{suffix}", 70, sound=sound, title="Road", language="deu", time_base=base
    )
    file = planned(path)
    assert len(file.segments) == 1 if suffix == ".avi" else len(file.segments) > 3  # see index_video
    whole = in_one_piece(path, tmp_path / f"whole{Path(file.output).suffix}")
    record = in_segments(made_job(tmp_path / "dst"), file)
    joined = read_clip(tmp_path / "dst" / file.output)
    assert record.frames == record.expected == 70
    assert joined.times == whole.times
    assert [number_of(255 - each) for each in joined.frames] == [i % 14 for i in range(70)]
    worst = max(
        float(np.abs(a.astype(int) - b).mean()) for a, b in zip(joined.frames, whole.frames, strict=True)
    )
    assert worst < 1.0  # the encoder starts anew in each segment; a wrong frame differs by 16 and more
    assert joined.sound == whole.sound
    assert joined.sound_times == pytest.approx(whole.sound_times, abs=1e-3)
    assert (joined.rate, joined.size, joined.tags) == (whole.rate, whole.size, whole.tags)


def test_a_broadcast_begins_at_zero_as_in_one_run(tmp_path: Path) -> None:
    """Its clock begins after 13 hours."""
    offset = {"output_ts_offset": "50000"}
    path = make_recording(tmp_path / "a.ts", 70, sound="mp2", container_options=offset)
    file = planned(path)
    assert len(file.segments) > 3
    whole = in_one_piece(path, tmp_path / f"whole{Path(file.output).suffix}")
    in_segments(made_job(tmp_path / "dst"), file)
    joined = read_clip(tmp_path / "dst" / file.output)
    assert joined.times == whole.times and 0 <= joined.times[0] < 1
    assert joined.sound_times == pytest.approx(whole.sound_times, abs=1e-3)


def test_a_variable_rate_keeps_its_timestamps(tmp_path: Path) -> None:
    pts = [i * 3000 + (i % 3) * 400 for i in range(70)]
    path = make_recording(tmp_path / "a.mp4", 70, pts=pts, time_base=Fraction(1, 30000))
    in_segments(made_job(tmp_path / "dst"), planned(path))
    assert read_clip(tmp_path / "dst" / "a.mp4").times == read_clip(path).times


def test_decoding_timestamps_increase_across_the_borders(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "a.mp4", 70)
    in_segments(made_job(tmp_path / "dst"), planned(path))
    with av.open(str(tmp_path / "dst" / "a.mp4")) as container:
        packets = [each for each in container.demux(video=0) if each.size]
    times = [packet.dts for packet in packets if packet.dts is not None]
    assert len(times) == 70 and all(a < b for a, b in pairwise(times))
    assert all(
        packet.dts <= packet.pts for packet in packets if packet.dts is not None and packet.pts is not None
    )
    assert any(
        packet.dts != packet.pts for packet in packets
    )  # the encoder reordered frames: the test is real


def test_metadata_and_other_streams_arrive_once(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "a.mkv", 40, sound="aac", title="Road", language="deu")
    in_segments(made_job(tmp_path / "dst"), planned(path))
    with av.open(str(tmp_path / "dst" / "a.mkv")) as container:
        assert container.metadata["title"] == "Road"
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert container.streams.audio[0].metadata["language"] == "deu"


def test_the_videos_of_segments_are_removed_and_their_records_stay(tmp_path: Path) -> None:
    job = made_job(tmp_path / "dst")
    file = planned(make_recording(tmp_path / "a.mp4", 40))
    in_segments(job, file)
    left = [path.suffix for path in (job.root / "segments").rglob("*") if path.is_file()]
    assert left == [".json"] * len(file.segments)


def test_a_late_twin_publishes_nothing(tmp_path: Path) -> None:
    job, file = made_job(tmp_path / "dst"), planned(make_recording(tmp_path / "a.mp4", 40))
    first = process_segment(job, file, file.segments[0], FakeEngine(), skip_dry=False)
    late = process_segment(job, file, file.segments[0], FakeEngine(invert=True), skip_dry=False)
    assert late == first
    videos = [path.name for path in (job.root / "segments").rglob("*.mp4")]
    assert videos == [first.file]


def test_a_twin_after_the_joining_leaves_nothing(tmp_path: Path) -> None:
    job, file = made_job(tmp_path / "dst"), planned(make_recording(tmp_path / "a.mp4", 40))
    done = in_segments(job, file)
    process_segment(job, file, file.segments[0], FakeEngine(), skip_dry=False)
    assert join_file(job, file, overwrite=False) == done
    assert not list((job.root / "segments").rglob("*.mp4"))


def test_a_recording_that_changed_is_refused(tmp_path: Path) -> None:
    job, path = made_job(tmp_path / "dst"), make_recording(tmp_path / "a.mp4", 40)
    file = planned(path)
    with path.open("ab") as changed:
        changed.write(b"\0" * 64)
    with pytest.raises(ChangedInputError, match="changed after it was planned"):
        process_segment(job, file, file.segments[0], FakeEngine(), skip_dry=False)
    assert not list((job.root / "segments").rglob("*.*"))


def test_nothing_is_joined_while_a_segment_is_missing(tmp_path: Path) -> None:
    job, file = made_job(tmp_path / "dst"), planned(make_recording(tmp_path / "a.mp4", 40))
    process_segment(job, file, file.segments[0], FakeEngine(), skip_dry=False)
    with pytest.raises(UserError, match="a segment is missing"):
        join_file(job, file, overwrite=False)
    assert not (tmp_path / "dst" / "a.mp4").exists()


def test_a_damaged_segment_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, file = made_job(tmp_path / "dst"), planned(make_recording(tmp_path / "a.mp4", 40))
    finish = VideoSink.finish

    def torn(sink: VideoSink) -> None:
        finish(sink)
        path = Path(sink.name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    monkeypatch.setattr(VideoSink, "finish", torn)
    with pytest.raises(UserError):
        process_segment(job, file, file.segments[0], FakeEngine(), skip_dry=False)
    assert not [path for path in (job.root / "segments").rglob("*") if path.is_file()]


def test_a_gap_is_left_out_and_later_frames_keep_their_time(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "a.mp4", 40)
    job, file = made_job(tmp_path / "dst"), planned(path)
    gap = file.segments[1]
    job.publish_segment(gap.key, SegmentRecord("", 0, gap.frames, outcome="gap", reason="broken"))
    record = in_segments(job, msgspec.structs.replace(file))
    times = read_clip(path).times
    assert record.gaps == 1 and "broken" in record.notes
    assert read_clip(tmp_path / "dst" / "a.mp4").times == times[: file.segments[0].frames] + times[20:]


def test_passed_frames_are_those_of_the_recording(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "a.mp4", 20)
    job, file = made_job(tmp_path / "dst"), planned(path)
    for segment in file.segments:
        record = process_segment(job, file, segment, PassEngine(), skip_dry=False, passing="broken")
        assert (record.outcome, record.reason) == ("passed", "broken")
    join_file(job, file, overwrite=False)
    assert [number_of(each) for each in read_clip(tmp_path / "dst" / "a.mp4").frames] == [
        i % 14 for i in range(20)
    ]


def test_frames_of_another_size_do_not_break_the_joining(tmp_path: Path) -> None:
    """Two recordings of different sizes, joined as TS segments: the second is letterboxed, as in one run."""
    make_recording(tmp_path / "a.ts", 20, size=(48, 64))
    pts = [round((20 + i) / 10 * 30000) for i in range(20)]
    make_recording(tmp_path / "b.ts", 20, size=(96, 64), pts=pts)
    path = tmp_path / "c.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    record = in_segments(made_job(tmp_path / "dst"), planned(path))
    read = read_clip(tmp_path / "dst" / "c.ts.mkv")
    assert record.frames == 40 and {frame.shape for frame in read.frames} == {(48, 64, 3)}


def test_a_size_that_changes_within_a_recording_is_written_as_in_one_run(tmp_path: Path) -> None:
    """Every segment has the size of the first frame of the recording, with bars."""
    parts = [
        make_recording(tmp_path / "1.ts", 20),
        make_recording(tmp_path / "2.ts", 20, size=(64, 96), pts=[69_000 + 3000 * i for i in range(20)]),
    ]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(each.read_bytes() for each in parts))
    file = planned(path)
    assert len(file.segments) > 2
    whole = in_one_piece(path, tmp_path / "whole.mkv")
    assert in_segments(made_job(tmp_path / "dst"), file).frames == 40
    joined = read_clip(tmp_path / "dst" / file.output)
    assert (joined.size, joined.times) == (whole.size, whole.times) and joined.size == (48, 64)
    for ours, theirs in zip(joined.frames, whole.frames, strict=True):
        assert float(np.abs(ours.astype(int) - theirs).mean()) < 1.0


@pytest.mark.parametrize("output", ["a.mp4", "a.mkv"])
def test_a_cover_picture_is_kept_or_the_report_says_that_it_is_not(tmp_path: Path, output: str) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video, cover = container.add_stream("libx264", rate=10, options=GOP), container.add_stream("mjpeg")
        for stream, pix_fmt in ((video, "yuv420p"), (cover, "yuvj420p")):
            stream.height, stream.width, stream.pix_fmt = 48, 64, pix_fmt
        cover.disposition = Disposition.attached_pic
        for index in range(35):
            frame = av.VideoFrame.from_ndarray(numbered(index), "bgr24")
            frame.pts = index
            if not index:
                container.mux(cover.encode(frame.reformat(format="yuvj420p")))
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    named = path.rename(tmp_path / output) if output != path.name else path  # the content decides
    record = in_segments(made_job(tmp_path / "dst"), planned(named))
    with av.open(str(tmp_path / "dst" / output)) as made:
        covers = [each for each in made.streams.video if each.disposition & Disposition.attached_pic]
        assert len(made.streams.video) == 1 + len(covers)
    kept = output == "a.mp4"
    assert len(covers) == kept and record.frames == 35
    assert any("cover picture" in note for note in record.notes) == (not kept)
