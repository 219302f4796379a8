"""A part of a video: its frames, sound and chapters, in sync, with times that begin at its start."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from granet.app.console import UsageError
from granet.errors import UserError
from runtime.live.pipeline import Pipeline
from runtime.sinks.open import open_sink
from runtime.sources.base import StreamInfo
from runtime.sources.open import open_source
from runtime.sources.part.part import Part
from runtime.sources.video.source import VideoSource
from tests.media import make_clip, number_of, numbered, read_clip, write_picture
from tests.runtime.fakes import FakeEngine

RATE = Fraction(20)
PACKET = Fraction(1024, 48000)


@dataclass
class Seen:
    """What a part gives: numbers modulo 14, times in seconds."""

    info: StreamInfo
    frames: list[tuple[int, float]]
    sound: list[float]


def read(path: Path, part: Part, most: int | None = None) -> Seen:
    with open_source(str(path), print, part=part) as source:
        seen = Seen(source.info, [], [])

        def heard() -> Iterator[float]:
            return (float(packet.pts * packet.time_base) for packet in source.sound())

        with closing(source.frames("bgr")) as frames:  # type: ignore[type-var]
            for frame in islice(frames, most):
                assert frame.index == len(seen.frames)
                seen.frames.append((number_of(frame.pixels), float(frame.pts * frame.time_base)))
                seen.sound += heard()
        seen.sound += heard()
    return seen


@pytest.fixture(scope="module", params=[".mp4", ".mkv", ".ts"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames at 20 a second, a key frame every 25, with sound."""
    path = tmp_path_factory.mktemp("part") / f"in{request.param}"
    options = {"crf": "1", "preset": "ultrafast", "g": "25"}
    return make_clip(path, count=60, rate=RATE, sound="aac", options=options)


def test_a_part_begins_at_its_start_with_its_sound(clip: Path) -> None:
    with av.open(str(clip)) as container:  # sound that begins before the pictures moves the beginning
        begin = (container.start_time or 0) / av.time_base
        video = container.streams.video[0]
        late = float(video.start_time * video.time_base) - begin
    seen = read(clip, Part(Fraction("1.52") + Fraction(late), Fraction(1)))
    assert [number for number, _ in seen.frames] == [number % 14 for number in range(31, 51)]
    assert [time for _, time in seen.frames] == pytest.approx([0.03 + i / 20 for i in range(20)], abs=1e-3)
    assert 0 <= seen.sound[0] < float(PACKET) and 1.03 - float(PACKET) <= seen.sound[-1] < 1.03
    assert [b - a for a, b in pairwise(seen.sound)] == pytest.approx(
        [float(PACKET)] * (len(seen.sound) - 1), abs=1e-3
    )
    assert seen.info.frames == 20


def test_the_number_of_frames_counts_the_one_that_the_duration_cuts(clip: Path) -> None:
    seen = read(clip, Part(duration=Fraction("1.02")))
    assert len(seen.frames) == seen.info.frames == 21


def test_every_nth_frame_keeps_its_time_and_the_whole_sound(clip: Path) -> None:
    whole, seen = read(clip, Part()), read(clip, Part(every=7))
    assert seen.frames == whole.frames[::7]
    assert seen.sound == whole.sound
    assert (seen.info.frames, seen.info.rate) == (9, RATE / 7)


def test_a_loop_goes_on_in_time_with_its_sound(clip: Path) -> None:
    seen = read(clip, Part(start=Fraction(2), duration=Fraction("5.2"), loop=True))
    numbers = [number for number, _ in seen.frames]
    once = read(clip, Part(start=Fraction(2)))
    count = len(once.frames)
    assert numbers == [once.frames[i % count][0] for i in range(len(numbers))] and len(numbers) > 4 * count
    times = [time for _, time in seen.frames]
    # A repetition waits for whichever of pictures and sound ends last.
    assert all(0.049 < b - a < 0.05 + 2 * PACKET for a, b in pairwise(times))
    second = times[count] - times[0]
    packets = len(once.sound)
    assert seen.sound[packets] - seen.sound[0] == pytest.approx(second, abs=1e-3)
    assert seen.sound == sorted(seen.sound)


def test_a_part_of_a_file_is_written_with_its_sound(clip: Path, tmp_path: Path) -> None:
    with open_source(str(clip), print, part=Part(Fraction(1), Fraction(1), every=5)) as source:
        sink = open_sink(
            str(tmp_path / "out.mp4"), source.info, print, window=False, overwrite=False, limit=None
        )
        assert Pipeline(source, FakeEngine("bgr"), sink).run().complete
    made = read_clip(tmp_path / "out.mp4")
    assert len(made.frames) == 4
    assert [float(b - a) for a, b in pairwise(made.times)] == pytest.approx([0.25] * 3, abs=1e-3)
    assert made.sound_times[-1] - made.sound_times[0] == pytest.approx(1, abs=2 * float(PACKET))


def test_chapters_are_cut_to_the_part(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "chapters.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        target.set_chapters(
            [
                {"id": i, "start": 1000 * i, "end": 1000 * (i + 1), "time_base": Fraction(1, 1000),
                 "metadata": {"title": f"part {i}"}}
                for i in range(3)
            ]
        )  # fmt: skip
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with VideoSource(str(path), print, start=Fraction("1.5")) as rest:
        cut = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in rest.info.chapters]
        times = [float(time) for chapter in cut for time in chapter]
        assert times == pytest.approx([0, 0.5, 0.5, 1.5], abs=0.05)
        assert [c["metadata"]["title"] for c in rest.info.chapters] == ["part 1", "part 2"]
    seen = read(path, Part(Fraction("1.5"), Fraction("0.3")))
    assert [c["metadata"]["title"] for c in seen.info.chapters] == ["part 1"]
    looped = read(path, Part(loop=True), most=1)
    assert looped.info.chapters == () and "3 chapters" in looped.info.left_behind


def test_a_start_behind_the_end_is_an_error(clip: Path) -> None:
    """It is given as it was written: 0:09 is not 9, and 2990ms is not 2.99."""
    with pytest.raises(UserError, match=r"^--start 0:09 with --input .*: the video ends after 3\.0 s$"):
        read(clip, Part.parsed("0:09", None, paced=False))
    with pytest.raises(UserError, match=r"^start 2990ms with input .*: the video ends before$"):
        read(clip, Part.parsed("2990ms", None, paced=False, dashes=""))


def test_every_nth_picture_of_a_directory_keeps_its_name(tmp_path: Path) -> None:
    for number in range(5):
        write_picture(tmp_path / f"{number}.png", numbered(number))
    with open_source(str(tmp_path), print, part=Part(every=2)) as source:
        assert [frame.name for frame in source.frames("bgr")] == ["0.png", "2.png", "4.png"]
        assert source.info.names == ("0.png", "2.png", "4.png")
    with pytest.raises(UsageError, match="--start with --input"):
        open_source(str(tmp_path), print, part=Part(start=Fraction(1)))


@pytest.mark.parametrize(("damaged", "left"), [("2", ["0.png", "4.png"]), ("1", ["0.png", "2.png", "4.png"])])
def test_every_nth_picture_is_counted_by_names(damaged: str, left: list[str], tmp_path: Path) -> None:
    """One that could not be read moved all others, and was not missed."""
    for number in range(6):
        write_picture(tmp_path / f"{number}.png", numbered(number))
    (tmp_path / f"{damaged}.png").write_bytes(b"no picture")
    with open_source(str(tmp_path), print, part=Part(every=2)) as source:
        assert [frame.name for frame in source.frames("bgr")] == left
        if len(left) == 3:
            source.require_whole()
            return
        with pytest.raises(UserError, match=r"1 of 3 pictures cannot be processed: 2\.png"):
            source.require_whole()


def test_a_start_needs_timestamps(tmp_path: Path) -> None:
    """FFmpeg's "Operation not permitted" named neither the file nor the option."""
    clip = make_clip(tmp_path / "in.ts", count=60)
    raw = tmp_path / "raw.h264"
    with av.open(str(clip)) as source, av.open(str(raw), "w", format="h264") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(UserError, match=r"^--start 1s with --input .*raw\.h264: its frames have no times"):
        read(raw, Part.parsed("1s", None, paced=False))


def test_a_loop_in_real_time_is_not_faster_than_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is a fake one: each wait moves it on."""
    path = make_clip(tmp_path / "in.mkv", count=3, rate=RATE, frames=[np.full((48, 64, 3), 90, np.uint8)] * 3)
    now = [100.0]
    monkeypatch.setattr("runtime.sources.video.clock.time.monotonic", lambda: now[0])

    def wait(event: object, seconds: float) -> bool:
        now[0] += seconds
        return False

    monkeypatch.setattr("threading.Event.wait", wait)
    read(path, Part(loop=True, paced=True), most=7)
    assert now[0] - 100 == pytest.approx(6 / 20, abs=0.01)
