"""Recordings of a live source: after a kill, on a full disk, and when the frame size changes."""

import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.pictures.directory import DirectorySink
from runtime.sinks.video import recording
from runtime.sinks.video.encoding import Encoding
from runtime.sinks.video.recording import RecordingSink
from runtime.sinks.video.sink import VideoSink
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from runtime.views.letterbox import letterboxed
from tests.media import make_clip, number_of, numbered, read_clip

ROOT = Path(__file__).parents[3]
BASE = Fraction(1, 90_000)
INFO = StreamInfo("cam", "camera", live=True, rate=Fraction(30), time_base=BASE, size=(48, 64))

_RECORDS = """
import sys
import numpy as np
import av
from fractions import Fraction
from runtime.media.frame import Frame
from runtime.telemetry.health import Health
from runtime.sinks.video.recording import RecordingSink
from runtime.sources.base import StreamInfo

path, rate, sound = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
streams = tuple(av.open(sound[0]).streams.audio) if sound else ()
info = StreamInfo("x", "camera", live=True, rate=Fraction(rate), time_base=Fraction(1, 90000), sound=streams)
sink = RecordingSink(path, info, print, overwrite=False, health=Health("x"))
sink.start("bgr")
noise = np.random.default_rng(0)
for i in range(10_000):
    pixels = noise.integers(0, 64, (48, 64, 3), np.uint8)
    sink.write(Frame(pixels, i, i * 90000 // rate, Fraction(1, 90000)))
    print(i / rate, flush=True)
"""


def seconds_that_play(path: Path) -> float:
    end = -1.0
    with av.open(str(path)) as container:
        try:
            for frame in container.decode(video=0):
                end = float(frame.time or 0)
        except av.FFmpegError:
            pass
    return end


@pytest.mark.parametrize(
    ("suffix", "rate", "seed"), [(".mkv", 30, 0), (".mkv", 5, 1), (".mp4", 30, 2), (".mp4", 5, 3)]
)
def test_a_recording_killed_at_any_moment_plays_to_its_last_second(
    tmp_path: Path, suffix: str, rate: int, seed: int
) -> None:
    # The stream sends no more sound: the muxer must not hold back the picture for it.
    sound = [str(make_clip(tmp_path / "sound.mp4", count=4, sound="aac"))] if seed % 2 else []
    command = [sys.executable, "-c", _RECORDS, str(tmp_path / f"out{suffix}"), str(rate), *sound]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(random.Random(seed).randrange(30, 300))]
        process.kill()
        last = float([*lines, *process.stdout.read().split()][-1])
    # The file is visible and has a name of its own, different from that of the finished file.
    assert 0 <= last - seconds_that_play(tmp_path / f"out.part{suffix}") <= 1
    assert not (tmp_path / f"out{suffix}").exists()


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
@pytest.mark.parametrize("rate", [Fraction(27, 10), Fraction(30)])
def test_key_frames_of_live_video_are_two_seconds_apart_however_slow_it_is(
    codec: str, rate: Fraction, tmp_path: Path
) -> None:
    """A viewer who joined 2.7 frames per second waited for 22 seconds."""
    sink = RecordingSink(
        str(tmp_path / "out.mkv"),
        INFO,
        print,
        overwrite=False,
        health=Health("cam"),
        encoding=Encoding(codec),
    )
    sink.start("bgr")
    for index in range(round(9 * rate)):
        pixels = np.full((96, 128, 3), 60 + index % 20, np.uint8)
        sink.write(Frame(pixels, index, int(index / rate * 90_000), BASE))
    sink.finish()
    with av.open(str(tmp_path / "out.mkv")) as container:
        times = [float(p.pts * p.time_base) for p in container.demux(video=0) if p.size and p.is_keyframe]
    assert len(times) >= 4 and all(b - a < 2.5 for a, b in pairwise(times))
    with av.open(str(tmp_path / "out.mkv")) as container:  # a picture without those before it
        container.seek(int(5e6))
        assert float(next(container.decode(video=0)).time or 0) > 3


def test_the_folders_of_a_pattern_are_made_but_not_what_comes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that starts the next day has a new folder; a disk that is not mounted is no folder."""
    monkeypatch.setattr("time.strftime", lambda pattern: pattern.replace("%Y", "2026").replace("%H", "23"))
    (tmp_path / "rec").mkdir()
    sink = RecordingSink(str(tmp_path / "rec/%Y/%H.mkv"), INFO, print, overwrite=False, health=Health("cam"))
    sink.start("bgr")
    sink.write(noise(0))
    sink.finish()
    assert (tmp_path / "rec/2026/23.mkv").exists()
    with pytest.raises(UserError, match=r"there is no directory .*disk"):
        RecordingSink(str(tmp_path / "disk/%Y/%H.mkv"), INFO, print, overwrite=False, health=Health("cam"))
    assert not (tmp_path / "disk").exists()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def noise(index: int) -> Frame:
    pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
    return Frame(pixels, index, 3000 * index, BASE)


@pytest.fixture
def full_disk() -> Iterator[list[int]]:
    """Files cannot grow beyond 60 kB until the list is cleared and the limit lifted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    yield [soft, hard]
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_full_disk_stops_the_recording_with_an_alarm_and_it_resumes(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch, full_disk: list[int]
) -> None:
    free = 64 * 2**20 - 1
    monkeypatch.setattr(recording, "free_bytes", lambda directory: free)
    said: list[str] = []
    clock, health = Clock(), Health("cam")
    sink = RecordingSink(
        str(tmp_path / f"out{suffix}"), INFO, said.append, overwrite=False, health=health, clock=clock
    )
    (tmp_path / f"out-2{suffix}").write_bytes(b"precious")
    sink.start("bgr")
    for index in range(200):
        sink.write(noise(index))
        clock.now += 1 / 30
    assert [line.split(":")[0] for line in said] == ["ALARM"]
    assert "cannot be written" in said[0] and "resumes" in said[0]
    assert health.snapshot().events["sink_fault"] == 1
    lost = health.snapshot().dropped["sink"]
    assert lost > 20
    first = seconds_that_play(tmp_path / f"out{suffix}")
    assert first > 0.5 and not list(tmp_path.glob("*.part*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(full_disk))
    free = 64 * 2**20
    clock.now += 13
    for index in range(200, 260):
        sink.write(noise(index))
        clock.now += 1 / 30
    sink.finish()
    assert f"out-3{suffix}" in said[1] and f"{lost} frames" in said[1]
    assert health.snapshot().dropped["sink"] == lost
    # The new file starts at time 0, and the existing file is unchanged.
    after = read_clip(tmp_path / f"out-3{suffix}")
    assert len(after.frames) == 60 and float(after.times[0]) < 0.1
    assert (tmp_path / f"out-2{suffix}").read_bytes() == b"precious"
    assert seconds_that_play(tmp_path / f"out{suffix}") == first


def test_a_recording_that_stops_names_the_file_if_its_own_name_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_disk: list[int]
) -> None:
    monkeypatch.setattr(recording, "free_bytes", lambda directory: 0)
    said: list[str] = []
    sink = RecordingSink(
        str(tmp_path / "out.mkv"), INFO, said.append, overwrite=False, health=Health("cam"), clock=Clock()
    )
    sink.start("bgr")
    sink.write(noise(0))
    (tmp_path / "out.mkv").write_bytes(b"theirs")
    for index in range(1, 200):
        sink.write(noise(index))
    assert "created by another program" in said[0]
    assert said[0].endswith(f"the output is kept as {tmp_path / 'out.part.mkv'}")
    assert said[1].startswith("ALARM") and len(said) == 2
    assert (tmp_path / "out.mkv").read_bytes() == b"theirs"
    assert seconds_that_play(tmp_path / "out.part.mkv") > 0.5


def test_after_a_short_second_outage_recording_goes_on_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_disk: list[int]
) -> None:
    """The back-off is reset once a recording has resumed."""
    full = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(recording, "free_bytes", lambda directory: 2**40)
    clock, health, said = Clock(), Health("cam"), list[str]()
    sink = RecordingSink(
        str(tmp_path / "out.mkv"), INFO, said.append, overwrite=False, health=health, clock=clock
    )
    sink.start("bgr")

    def record(seconds: float) -> None:
        for _ in range(round(30 * seconds)):
            sink.write(noise(round(30 * clock.now)))
            clock.now += 1 / 30

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, full)
        faults = health.snapshot().events["sink_fault"]
        while health.snapshot().events["sink_fault"] == faults:
            record(1 / 30)

    fill_the_disk()
    monkeypatch.setattr(recording, "free_bytes", lambda directory: 0)
    record(60)
    assert [line.split(":")[0] for line in said] == ["ALARM"]
    monkeypatch.setattr(recording, "free_bytes", lambda directory: 2**40)
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(full_disk))
    record(13)
    assert "recording resumed" in said[-1] and len(said) == 2
    fill_the_disk()
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(full_disk))
    # The first wait is one second plus at most a quarter of jitter.
    record(1.4)
    assert [line.split()[0] for line in said] == ["ALARM:", "recording", "ALARM:", "recording"]
    sink.finish()


GONE = {
    "the file is deleted": lambda rec: (rec / "out.part.mkv").unlink(),
    "the directory is deleted": shutil.rmtree,
    "all above is deleted": lambda rec: shutil.rmtree(rec.parent),
    "the file is moved": lambda rec: (rec / "out.part.mkv").rename(rec / "moved.mkv"),
    "the directory is moved": lambda rec: rec.rename(rec.parent / "moved"),
    "the directory is moved, and another takes its place": lambda rec: (
        rec.rename(rec.parent / "moved"),
        rec.mkdir(),
    ),
    "the file is replaced": lambda rec: [
        (rec / "new").write_bytes(b"precious"),
        (rec / "new").replace(rec / "out.part.mkv"),
    ],
    "the directory is replaced by a file": lambda rec: (shutil.rmtree(rec), rec.write_bytes(b"precious")),
}


@pytest.mark.parametrize("what", GONE)
def test_a_recording_that_is_deleted_moved_or_replaced_is_noted_and_goes_on_in_a_new_file(
    tmp_path: Path, what: str
) -> None:
    rec = tmp_path / "site" / "rec"
    rec.mkdir(parents=True)
    said: list[str] = []
    clock, health = Clock(), Health("cam")
    sink = RecordingSink(str(rec / "out.mkv"), INFO, said.append, overwrite=False, health=health, clock=clock)
    sink.start("bgr")

    def record(start: int, stop: int) -> None:
        for index in range(start, stop):
            sink.write(Frame(numbered(index % 14), index, 3000 * index, BASE))
            clock.now += 1 / 30

    record(0, 60)
    assert said == []
    GONE[what](rec)
    record(60, 61)
    assert said[0].startswith("ALARM: recording stopped: ") and "out.part.mkv: was " in said[0]
    assert health.snapshot().events["sink_fault"] == 1
    if what == "the directory is replaced by a file":
        record(61, 150)
        assert len(said) == 1 and health.snapshot().dropped["sink"] == 90
        rec.unlink()
        clock.now += 13
    lost = health.snapshot().dropped["sink"]
    record(150, 210)
    sink.finish()
    new = rec / "out-2.mkv"
    assert said[1].startswith("recording resumed after ") and str(new) in said[1] and len(said) == 2
    assert f"{lost} frames were not recorded" in said[1]
    frames = [number_of(frame) for frame in read_clip(new).frames]
    assert frames[-60:] == [index % 14 for index in range(150, 210)] and len(frames) == 61 - (lost > 0)
    # The moved file is complete, and the file in its place is unchanged.
    for moved in (rec / "moved.mkv", rec.parent / "moved" / "out.part.mkv"):
        if moved.exists():
            assert len(read_clip(moved).frames) == 60 and f"was moved to {moved}" in said[0]
    assert "moved" not in what or "was moved to" in said[0]
    replaced = rec / "out.part.mkv"
    assert replaced.exists() == (what == "the file is replaced")
    assert not replaced.exists() or replaced.read_bytes() == b"precious"


def test_a_recording_that_is_deleted_while_the_camera_is_away_is_noted(tmp_path: Path) -> None:
    said: list[str] = []
    health = Health("cam")
    sink = RecordingSink(str(tmp_path / "out.mkv"), INFO, said.append, overwrite=False, health=health)
    sink.start("bgr")
    sink.write(noise(0))
    (tmp_path / "out.part.mkv").unlink()
    sink.idle()
    sink.idle()
    assert said[0] == (
        f"ALARM: recording stopped: {tmp_path}/out.part.mkv: was deleted; everything else continues, and "
        "recording resumes in a new file as soon as possible"
    )
    assert len(said) == 1 and health.snapshot().events["sink_fault"] == 1
    sink.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_is_deleted_at_the_very_end_is_an_error(tmp_path: Path) -> None:
    sink = RecordingSink(str(tmp_path / "out.mkv"), INFO, print, overwrite=False, health=Health("cam"))
    sink.start("bgr")
    sink.write(noise(0))
    (tmp_path / "out.part.mkv").unlink()
    with pytest.raises(UserError, match=r"out\.part\.mkv: was deleted"):
        sink.finish()
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_relative_name_does_not_follow_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory of a service is moved away: the recording goes on where it was asked for."""
    home = tmp_path / "granet"
    home.mkdir()
    monkeypatch.chdir(home)
    said: list[str] = []
    clock = Clock()
    sink = RecordingSink("%Y.mkv", INFO, said.append, overwrite=False, health=Health("cam"), clock=clock)
    sink.start("bgr")
    sink.write(noise(0))
    clock.now += 2
    home.rename(tmp_path / "old")
    sink.write(noise(1))
    sink.finish()
    assert "was moved to" in said[0]
    assert [len(read_clip(path).frames) for path in home.iterdir()] == [1]
    assert [len(read_clip(path).frames) for path in (tmp_path / "old").iterdir()] == [1]


def test_pictures_of_a_live_source_that_are_deleted_are_an_error_at_once(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path / "out", INFO, print, overwrite=False)
    sink.start("bgr")
    sink.write(noise(0))
    shutil.rmtree(tmp_path / "out.part")
    with pytest.raises(UserError, match=r"out\.part: was deleted"):
        sink.write(noise(1))
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_the_output_of_a_file_that_is_moved_is_an_error_at_once(tmp_path: Path) -> None:
    """Not after hours, when it would get its final name."""
    info = StreamInfo("in.mp4", "video", rate=Fraction(30), time_base=BASE, size=(48, 64))
    sink = VideoSink(str(tmp_path / "out.mkv"), info, print, overwrite=False)
    sink.start("bgr")
    sink.write(noise(0))
    (tmp_path / "out.part.mkv").rename(tmp_path / "moved.mkv")
    with pytest.raises(UserError, match=r"out\.part\.mkv: was moved to .*moved\.mkv"):
        sink.write(noise(1))
    sink.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["moved.mkv"]


def test_a_recording_is_kept_when_the_run_fails(tmp_path: Path) -> None:
    sink = RecordingSink(str(tmp_path / "out.mkv"), INFO, print, overwrite=False, health=Health("cam"))
    sink.start("bgr")
    for index in range(30):
        sink.write(noise(index))
    sink.abort()
    assert len(read_clip(tmp_path / "out.mkv").frames) == 30


def test_a_run_without_a_frame_leaves_nothing(tmp_path: Path) -> None:
    for end in ("finish", "abort"):
        sink = RecordingSink(str(tmp_path / "out.mkv"), INFO, print, overwrite=False, health=Health("cam"))
        sink.start("bgr")
        getattr(sink, end)()
    assert list(tmp_path.iterdir()) == []


def test_a_pattern_gives_every_run_a_name_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        sink = RecordingSink(str(tmp_path / "%Y.mkv"), INFO, print, overwrite=False, health=Health("cam"))
        sink.start("bgr")
        sink.write(noise(0))
        sink.finish()
    names = sorted(path.stem for path in tmp_path.iterdir())
    assert len(names) == 2 and names[0].isdigit() and names[1] == f"{names[0]}-2"


def test_avi_cannot_hold_a_camera(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no timestamps.*\.mkv"):
        RecordingSink(str(tmp_path / "out.avi"), INFO, print, overwrite=False, health=Health("cam"))


def test_times_of_a_live_source_that_repeat_or_jump_back_do_not_end_a_recording(tmp_path: Path) -> None:
    sink = RecordingSink(str(tmp_path / "out.mp4"), INFO, print, overwrite=False, health=Health("cam"))
    sink.start("bgr")
    for index, pts in enumerate([0, 3000, 3000, 100, 9000, 12000]):
        sink.write(Frame(numbered(index), index, pts, BASE))
    # After a reconnection a stream may have another time base.
    sink.write(Frame(numbered(6), 6, 500, Fraction(1, 1000)))
    sink.finish()
    after = read_clip(tmp_path / "out.mp4")
    assert [number_of(frame) for frame in after.frames] == list(range(7))
    assert float(after.times[-1] - after.times[0]) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
@pytest.mark.parametrize("step", [1, 40, 45, 89])
def test_frames_that_are_close_together_stay_apart_in_every_container(
    tmp_path: Path, suffix: str, step: int
) -> None:
    """Matroska counts milliseconds: frames 1/90,000 s apart once had the same timestamp."""
    sink = RecordingSink(str(tmp_path / f"out{suffix}"), INFO, print, overwrite=False, health=Health("cam"))
    sink.start("bgr")
    for index in range(30):
        sink.write(Frame(numbered(index), index, step * index, BASE))
    sink.write(Frame(numbered(30), 30, 90_000, BASE))
    sink.finish()
    after = read_clip(tmp_path / f"out{suffix}")
    assert [number_of(frame) for frame in after.frames] == [index % 14 for index in range(31)]
    assert all(a < b for a, b in pairwise(after.times))
    # The frames that follow are not moved.
    assert float(after.times[-1] - after.times[0]) == pytest.approx(1, abs=0.002)


def test_a_recording_keeps_its_size_when_the_camera_does_not(tmp_path: Path) -> None:
    said: list[str] = []
    sink = RecordingSink(str(tmp_path / "out.mkv"), INFO, said.append, overwrite=False, health=Health("cam"))
    sink.start("bgr")
    sink.write(Frame(np.full((48, 64, 3), 200, np.uint8), 0, 0, BASE))
    for index in (1, 2):
        sink.write(Frame(np.full((48, 32, 3), 200, np.uint8), index, 3000 * index, BASE))
    sink.finish()
    after = read_clip(tmp_path / "out.mkv")
    assert after.size == (48, 64) and len(after.frames) == 3
    last = after.frames[2]
    assert last[:, 20:44].min() > 150 and last[:, :14].max() < 60 and last[:, 50:].max() < 60
    assert said == [f"cam: size changed from 64x48 to 32x48; {tmp_path}/out.mkv stays 64x48, with bars"]


def test_letterboxing_keeps_proportions_and_centres() -> None:
    wide = letterboxed(Frame(np.full((90, 160, 3), 255, np.uint8), 7, 5, BASE), (120, 160))
    rows = np.flatnonzero(wide.pixels[:, 80, 0])
    assert wide.pixels.shape == (120, 160, 3) and (wide.index, wide.pts) == (7, 5)
    assert (rows[0], rows[-1]) == (14, 103)
