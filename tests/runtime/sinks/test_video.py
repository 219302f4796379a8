import resource
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from granet.errors import UserError
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Frame
from runtime.sinks.open import open_sink
from runtime.sinks.video.sink import VideoSink
from runtime.sinks.video.yuv import YuvConverter, plane_views, yuv_matrix
from runtime.sources.base import StreamInfo
from runtime.sources.open import open_source
from tests.media import (
    BARS,
    BASE,
    MAKES_BT2020,
    RATE,
    UNEVEN,
    colour_bars,
    make_clip,
    number_of,
    numbered,
    read_clip,
    steps,
)
from tests.runtime.fakes import FakeEngine

TAGS = [(1, 1, 1, 1), (1, 2, 1, 1), (6, 1, 6, 6), (5, 2, 2, 2), (2, 0, 2, 2), (9, 1, 9, 16)]
"""Matrix, range, primaries, transfer; the last is HDR10."""


def convert(source: Path, target: Path, colour: str = "bgr", *, compare: bool = False) -> list[str]:
    """Runs ``source`` through an identity engine; returns the announcements."""
    said: list[str] = []
    with open_source(str(source), said.append) as frames:
        sink = open_sink(str(target), frames.info, said.append, window=False, overwrite=False, limit=None)
        Pipeline(frames, FakeEngine(colour), sink, compare=compare, say=said.append).run()  # type: ignore[arg-type]
    return said


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize("pts", [steps(40), UNEVEN])
def test_timestamps_are_kept_exactly(tmp_path: Path, suffix: str, pts: list[int]) -> None:
    source = make_clip(tmp_path / "in.mp4", count=len(pts), pts=pts)
    said = convert(source, tmp_path / f"out{suffix}")
    before, after = read_clip(source), read_clip(tmp_path / f"out{suffix}")
    assert after.times == before.times == [t * BASE for t in pts]
    assert [number_of(frame) for frame in after.frames] == [i % 14 for i in range(len(pts))]
    if pts == steps(40):
        assert after.rate == before.rate == RATE
    assert said == []


@pytest.mark.parametrize("pts", [steps(40), UNEVEN])
def test_matroska_keeps_timestamps_to_its_millisecond(tmp_path: Path, pts: list[int]) -> None:
    source = make_clip(tmp_path / "in.mp4", count=len(pts), pts=pts)
    convert(source, tmp_path / "out.mkv")
    after = read_clip(tmp_path / "out.mkv")
    assert max(abs(a - t * BASE) for a, t in zip(after.times, pts, strict=True)) <= Fraction(1, 2000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi", ".webm"])
def test_2997_stays_30000_1001_and_no_frame_is_lost(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", count=40)
    convert(source, tmp_path / f"out{suffix}")
    after = read_clip(tmp_path / f"out{suffix}")
    assert after.rate == RATE
    assert [number_of(frame) for frame in after.frames] == [i % 14 for i in range(40)]
    assert after.codec == ("vp9" if suffix == ".webm" else "h264")


def test_avi_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=UNEVEN)
    with pytest.raises(UserError, match="no timestamps"):
        convert(source, tmp_path / "out.avi")
    assert names_in(tmp_path) == ["in.mp4"]


@pytest.mark.parametrize(
    ("codec", "source", "target"),
    [
        ("aac", ".mp4", ".mp4"),
        ("aac", ".mkv", ".mp4"),
        ("libmp3lame", ".mp4", ".mkv"),
        ("pcm_s16le", ".mov", ".mkv"),
        ("libopus", ".mkv", ".webm"),
        ("aac", ".mp4", ".avi"),
    ],
)
def test_sound_is_copied_packet_by_packet(tmp_path: Path, codec: str, source: str, target: str) -> None:
    clip = make_clip(tmp_path / f"in{source}", count=40, sound=codec)
    convert(clip, tmp_path / f"out{target}")
    before, after = read_clip(clip), read_clip(tmp_path / f"out{target}")
    assert before.sound and b"".join(after.sound) == b"".join(before.sound)
    if target != ".avi":
        assert after.sound == before.sound
        # Matroska has no negative timestamps: the encoder delay before zero shifts all packets.
        before_picture = np.array(before.sound_times) - float(before.times[0])
        assert np.allclose(np.array(after.sound_times) - float(after.times[0]), before_picture, atol=0.002)


def test_sound_that_does_not_fit_is_an_error_not_a_silent_film(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", count=10, sound="aac")
    with pytest.raises(UserError, match=r"cannot hold the sound of the input \(aac\); write \.mkv"):
        convert(clip, tmp_path / "out.webm")
    assert names_in(tmp_path) == ["in.mp4"]


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("tags", TAGS if MAKES_BT2020 else TAGS[:-1])
def test_colours_and_their_tags_survive(tmp_path: Path, tags: tuple[int, int, int, int], colour: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=[colour_bars()] * 2, order="rgb24", tags=tags)
    for compare in (False, True):
        target = tmp_path / f"out{compare}.mp4"
        convert(source, target, colour, compare=compare)
        before, after = read_clip(source), read_clip(target)
        assert after.tags == before.tags
        for read in (before, after):
            assert np.abs(read.frames[0][40, 16:320:32, ::-1].astype(int) - BARS).max() <= 5
        if compare:
            right = after.frames[0][40, 320 + 4 + 16 :: 32, ::-1]
            assert np.abs(right.astype(int) - BARS).max() <= 5


def test_a_comparison_that_players_would_guess_otherwise_is_tagged(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", count=1, size=(480, 704))
    convert(source, tmp_path / "out.mp4", compare=True)
    assert read_clip(source).tags[0] == 2
    assert read_clip(tmp_path / "out.mp4").tags[0] == 6


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_the_result_shows_upright_without_a_tag(tmp_path: Path, rotation: int) -> None:
    source = make_clip(tmp_path / "in.mp4", count=3, rotation=rotation, aspect=Fraction(4, 3))
    convert(source, tmp_path / "out.mp4")
    after = read_clip(tmp_path / "out.mp4")
    turned = np.rot90(numbered(0), rotation // 90)
    assert after.rotation == 0
    assert after.frames[0].shape == turned.shape
    assert np.abs(after.frames[0].astype(int) - turned).mean() < 6
    assert after.aspect == (Fraction(4, 3) if rotation == 180 else Fraction(3, 4))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p"])
def test_colours_stay_as_finely_sampled(tmp_path: Path, pix_fmt: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=[colour_bars()] * 2, order="rgb24", pix_fmt=pix_fmt)
    for compare in (False, True):
        convert(source, tmp_path / f"{compare}.mp4", compare=compare)
        after = read_clip(tmp_path / f"{compare}.mp4")
        assert after.pix_fmt == pix_fmt
        assert np.abs(after.frames[0][40, 16:320:32, ::-1].astype(int) - BARS).max() <= 5


def test_odd_sides_lose_nothing_and_are_announced(tmp_path: Path) -> None:
    frames = [numbered(i, 49, 65) for i in range(3)]
    source = make_clip(tmp_path / "in.mkv", frames=frames, pix_fmt="yuv444p")
    odd = make_clip(tmp_path / "odd.mkv", frames=frames, codec="ffv1", options={})
    for clip in (source, odd):
        said = convert(clip, tmp_path / f"{clip.stem}.mp4")
        after = read_clip(tmp_path / f"{clip.stem}.mp4")
        assert after.size == (49, 65)
        assert [number_of(frame) for frame in after.frames] == [0, 1, 2]
    assert any("odd" in line for line in said)
    convert(odd, tmp_path / "compared.mp4", compare=True)
    assert read_clip(tmp_path / "compared.mp4").size == (49, 134)


def test_rgb_video_gets_explicit_tags(tmp_path: Path) -> None:
    bars = [colour_bars()] * 2
    source = make_clip(
        tmp_path / "in.mkv", frames=bars, order="rgb24", codec="ffv1", pix_fmt="bgr0", options={}
    )
    convert(source, tmp_path / "out.mp4")
    after = read_clip(tmp_path / "out.mp4")
    assert after.tags[:2] == (6, 1)
    assert np.abs(after.frames[0][32, 16::32, ::-1].astype(int) - BARS).max() <= 5


def test_a_comparison_has_input_left_result_right_and_a_divider(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", count=4, size=(144, 320))
    with open_source(str(source), print) as frames:
        sink = open_sink(
            str(tmp_path / "out.mp4"), frames.info, print, window=False, overwrite=False, limit=None
        )
        Pipeline(frames, FakeEngine(invert=True), sink, compare=True).run()
    after = read_clip(tmp_path / "out.mp4")
    assert after.size == (144, 644)
    for i, frame in enumerate(after.frames):
        assert number_of(frame[:, :320]) == i
        assert abs(float(frame[80:, 500:].mean()) - (255 - 16 - 16 * i)) < 4
        assert frame[100:140, 321:323].min() > 220
    # The label is light on dark, on the bright corner.
    assert after.frames[0][:20, :60].min() < 60


def test_pictures_become_a_video_and_its_rate_is_announced(tmp_path: Path) -> None:
    from tests.media import write_picture

    for i in range(5):
        write_picture(tmp_path / "in" / f"{i}.png", numbered(i))
    said = convert(tmp_path / "in", tmp_path / "out.mp4")
    assert any("25 frames per second" in line for line in said)
    after = read_clip(tmp_path / "out.mp4")
    assert [number_of(frame) for frame in after.frames] == [0, 1, 2, 3, 4] and after.rate == 25
    write_picture(tmp_path / "in" / "9.png", numbered(0, 50, 60))
    with pytest.raises(UserError, match=r"9\.png is 60x50, but the video is 64x48"):
        convert(tmp_path / "in", tmp_path / "other.mp4")
    assert not (tmp_path / "other.mp4").exists()


@pytest.mark.parametrize("what", ["missing directory", "exists", "is the input", "directory"])
def test_destinations_that_are_refused(tmp_path: Path, what: str) -> None:
    source = make_clip(tmp_path / "in.mp4", count=2)
    (tmp_path / "other.mp4").write_bytes(b"precious")
    (tmp_path / "sub.mp4").mkdir()
    target = {
        "missing directory": "no/out.mp4",
        "exists": "other.mp4",
        "is the input": "in.mp4",
        "directory": "sub.mp4",
    }[what]
    with open_source(str(source), print) as frames, pytest.raises(UserError) as error:
        VideoSink(str(tmp_path / target), frames.info, print, overwrite=what == "is the input")
    assert what.split()[-1] in str(error.value)
    assert (tmp_path / "other.mp4").read_bytes() == b"precious"


def test_overwrite_replaces_only_when_finished(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", count=4)
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with open_source(str(source), print) as frames:
        sink = VideoSink(str(target), frames.info, print, overwrite=True)
        sink.start("bgr")
        sink.write(next(iter(frames.frames("bgr"))))
        assert target.read_bytes() == b"precious"
        sink.finish()
    assert len(read_clip(target).frames) == 1
    assert names_in(tmp_path) == ["in.mp4", "out.mp4"]


def test_a_file_that_another_program_made_meanwhile_is_not_replaced_and_ours_is_kept(tmp_path: Path) -> None:
    source, target = make_clip(tmp_path / "in.mp4", count=4), tmp_path / "out.mp4"
    with open_source(str(source), print) as frames:
        sink = VideoSink(str(target), frames.info, print, overwrite=False)
        sink.start("bgr")
        for frame in frames.frames("bgr"):
            sink.write(frame)
        target.write_bytes(b"precious")
        with pytest.raises(
            UserError, match=r"was created by another program meanwhile; the output is kept as .*part\.mp4"
        ):
            sink.finish()
        sink.abort()
    assert target.read_bytes() == b"precious"
    assert len(read_clip(tmp_path / "out.part.mp4").frames) == 4


def test_a_part_file_of_another_program_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.part.mp4").write_bytes(b"a recording")
    convert(make_clip(tmp_path / "in.mp4", count=2), tmp_path / "out.mp4")
    assert names_in(tmp_path) == ["in.mp4", "out.mp4", "out.part.mp4"]
    assert (tmp_path / "out.part.mp4").read_bytes() == b"a recording"
    assert len(read_clip(tmp_path / "out.mp4").frames) == 2


_KILLED = """
import os, sys
import numpy as np
from fractions import Fraction
from runtime.media.frame import Frame
from runtime.sinks.video.sink import VideoSink
from runtime.sources.base import StreamInfo

info = StreamInfo("x", "video", rate=Fraction(25), time_base=Fraction(1, 25), size=(96, 128), matrix=1)
sink = VideoSink(sys.argv[1], info, print, overwrite=False)
sink.start("bgr")
noise = np.random.default_rng(0)
for i in range(250):
    sink.write(Frame(noise.integers(0, 64, (96, 128, 3), np.uint8), i, i, Fraction(1, 25)))
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_killed_recording_plays(tmp_path: Path, suffix: str) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / f"out{suffix}")], check=False)
    assert killed.returncode == -signal.SIGKILL
    (part,) = tmp_path.iterdir()
    frames = 0
    with av.open(str(part)) as container:
        try:
            for _ in container.decode(video=0):
                frames += 1
        except av.InvalidDataError:
            pass
    assert frames >= 150


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    info = StreamInfo("x", "video", rate=RATE, time_base=BASE, size=(96, 128), matrix=1)
    sink = VideoSink(str(tmp_path / "out.mp4"), info, print, overwrite=False)
    sink.start("bgr")
    noise = np.random.default_rng(0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(UserError, match=r"out\.mp4: cannot be written: File too large"):
            for i, pts in enumerate(steps(200)):
                sink.write(Frame(noise.integers(0, 256, (96, 128, 3), np.uint8), i, pts, BASE))
            sink.finish()
        sink.abort()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, *([9] if MAKES_BT2020 else [])])
@pytest.mark.parametrize("colour_range", [1, 2])
def test_the_conversion_is_that_of_swscale(matrix: int, colour_range: int) -> None:
    """An independent implementation, and the definition in floating point."""
    rgb = np.random.default_rng(0).integers(0, 256, (300, 64, 3), np.uint8)
    frame = av.VideoFrame(64, 300, "yuv444p")
    YuvConverter(matrix, colour_range, "yuv444p", "rgb")(rgb, plane_views(frame))
    ours = np.stack(plane_views(frame), -1)
    exact = np.concatenate([rgb, np.ones_like(rgb[..., :1])], -1) @ yuv_matrix(matrix, colour_range).T
    # OpenCV computes with ten fractional bits.
    assert np.abs(ours - exact.clip(0, 255)).max() <= 0.8
    theirs = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format="yuv444p", dst_colorspace=matrix, dst_color_range=colour_range
    )
    assert np.abs(ours.astype(int) - np.stack(plane_views(theirs), -1)).max() <= 2


def test_shared_colours_are_means(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (520, 64, 3), np.uint8)
    for chroma, step in (("yuv420p", (2, 2)), ("yuv422p", (1, 2))):
        frame = av.VideoFrame(64, 520, chroma)
        YuvConverter(1, 1, chroma, "rgb")(rgb, plane_views(frame))  # type: ignore[arg-type]
        means = rgb.reshape(520 // step[0], step[0], 32, 2, 3).mean((1, 3))
        exact = np.concatenate([means, np.ones_like(means[..., :1])], -1) @ yuv_matrix(1, 1).T
        for channel, plane in enumerate(plane_views(frame)[1:], 1):
            assert np.abs(plane - exact[..., channel]).max() <= 1.2


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("count", [10, 11, 12, 13])
def test_no_frame_is_lost_where_the_last_fragment_begins(tmp_path: Path, count: int, suffix: str) -> None:
    """A still picture makes B-frames, so the picture shown last is stored before others."""
    path = tmp_path / f"out{suffix}"
    info = StreamInfo("drawn", "video", rate=Fraction(10), time_base=Fraction(1, 1000))
    sink = VideoSink(str(path), info, lambda note: None, overwrite=False)
    sink.start("bgr")
    for index in range(count):
        sink.write(Frame(np.full((48, 64, 3), 100, np.uint8), index, 100 * index, info.time_base))
    sink.finish()
    read = read_clip(path)
    assert read.times == [Fraction(index, 10) for index in range(count)]
    assert read.rate == 10 or count == 11  # its last packet is alone in a fragment, see Muxer


@pytest.mark.parametrize("sound", ["aac", "mp2"])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.15, 4.0])
@pytest.mark.parametrize(("count", "rate"), [(11, 10), (12, 10), (21, 10), (51, 25)])
def test_no_frame_is_lost_where_the_sound_is_longer_or_shorter(
    tmp_path: Path, count: int, rate: int, seconds: float, sound: str
) -> None:
    """The sound decides too where the last fragment begins."""
    source = make_clip(
        tmp_path / "in.mkv", count, rate=Fraction(rate), sound=sound, seconds=seconds * count / rate
    )
    convert(source, tmp_path / "out.mp4")
    assert len(read_clip(tmp_path / "out.mp4").frames) == count


@pytest.mark.parametrize("count", [48, 50, 52])
def test_no_frame_is_lost_where_a_sound_track_is_empty(tmp_path: Path, count: int) -> None:
    """The muxer writes no fragment before each track has a packet, but moves the ends of the edit lists."""
    pictures, source = make_clip(tmp_path / "pictures.mkv", frames=[numbered(0)] * count), tmp_path / "in.mkv"
    with av.open(str(pictures)) as held, av.open(str(source), "w") as container:
        video = container.add_stream_from_template(held.streams.video[0])
        container.add_stream("aac", rate=48000)
        container.start_encoding()
        for packet in (packet for packet in held.demux() if packet.size):
            packet.stream = video
            container.mux(packet)
    convert(source, tmp_path / "out.mp4")
    assert len(read_clip(tmp_path / "out.mp4").frames) == count
