"""The codec of a video file: the asked one, or one line."""

from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from granet.errors import UserError
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Frame
from runtime.sinks.open import open_sink
from runtime.sinks.video.containers import CONTAINERS, container_for
from runtime.sinks.video.encoders import SOFTWARE
from runtime.sinks.video.encoding import Encoding
from runtime.sinks.video.recording import RecordingSink
from runtime.sources.base import StreamInfo
from runtime.sources.open import open_source
from runtime.telemetry.health import Health
from tests.media import make_clip, number_of, numbered, read_clip
from tests.runtime.fakes import FakeEngine
from tests.runtime.sinks.test_video_kept import MASTERING, hdr_of


def write(source: Path, target: Path, count: int = 6, **options: object) -> str:
    """Encodes ``source``; the codec of the result."""
    encoding = Encoding(**options)  # type: ignore[arg-type]
    with open_source(str(source), print) as frames:
        sink = open_sink(
            str(target), frames.info, print, window=False, overwrite=False, limit=None, encoding=encoding
        )
        Pipeline(frames, FakeEngine("bgr"), sink, say=print).run()
    with av.open(str(target)) as made:
        assert sum(1 for _ in made.decode(video=0)) == count
        return made.streams.video[0].codec_context.codec.canonical_name


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", count=6, size=(64, 64))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("h264", ".mp4"),
        ("hevc", ".mp4"),
        ("hevc", ".mkv"),
        ("av1", ".mp4"),
        ("vp9", ".webm"),
        ("vp9", ".mkv"),
    ],
)
def test_the_video_has_the_codec_that_is_asked_for(clip: Path, codec: str, suffix: str) -> None:
    assert write(clip, clip.with_name(f"out{suffix}"), codec=codec) == codec


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("codec", SOFTWARE)
def test_a_format_takes_a_codec_or_refuses_it_before_anything_is_written(
    suffix: str, codec: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg lists VP9 and AV1 for QuickTime, and then its muxer refuses them."""
    target = clip.with_name(f"out{suffix}")
    try:
        made = write(clip, target, codec=codec)
    except UserError as error:
        assert f"this format cannot hold {codec}; write" in str(error)
        assert not list(clip.parent.glob("out*")) and "frames in" not in capsys.readouterr().err
    else:
        assert made == codec


def test_what_quicktime_cannot_hold_becomes_its_usual_codec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_clip(tmp_path / "in.webm", count=6, codec="libvpx-vp9", options={}, size=(64, 64))
    assert write(source, tmp_path / "out.mov", codec="auto") == "h264"
    assert "codec of the input (vp9) does not fit this format; writing h264" in capsys.readouterr().out


def test_copy_codec_is_the_codec_of_the_input(clip: Path) -> None:
    hevc = clip.with_name("hevc.mkv")
    write(clip, hevc, codec="hevc")
    assert write(hevc, clip.with_name("again.mkv"), codec="copy-codec") == "hevc"


def test_the_same_frames_become_the_same_file_each_time(tmp_path: Path) -> None:
    blurred = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 4)
    scene = cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX)
    frames = [scene[i : i + 240, 2 * i : 2 * i + 320] for i in range(20)]
    source = make_clip(tmp_path / "in.mp4", frames=frames)
    files = []
    for index in range(20):
        target = tmp_path / f"{index}.mp4"
        write(source, target, count=20, codec="h264")
        files.append(sha256(target.read_bytes()).hexdigest())
    assert len(set(files)) == 1


def test_a_higher_crf_makes_a_smaller_file(clip: Path) -> None:
    sizes = []
    for crf in (5, 45):
        write(clip, clip.with_name(f"{crf}.mkv"), codec="hevc", crf=crf)
        sizes.append(clip.with_name(f"{crf}.mkv").stat().st_size)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("options", "suffix", "says"),
    [
        ({"codec": "mpeg9"}, ".mp4", "--codec mpeg9: use one of auto, h264"),
        ({"codec": "copy-codec", "crf": 20}, ".mp4", "--crf with --codec copy-codec"),
        ({"codec": "copy-codec", "preset": "slow"}, ".mp4", "--preset with --codec copy-codec"),
        ({"crf": 20, "bitrate": "4M"}, ".mp4", "--crf with --bitrate"),
        ({"bitrate": "fast"}, ".mp4", "--bitrate fast"),
        ({"bitrate": "999"}, ".mp4", "--bitrate 999: give 1k to 2000M bits per second"),
        ({"bitrate": "2001M"}, ".mp4", "--bitrate 2001M: give 1k to 2000M bits per second"),
        ({"codec": "libx265"}, ".mp4", r"--codec libx265: did you mean hevc\?"),
        ({"codec": "H264"}, ".mp4", r"--codec H264: did you mean h264\?"),
        ({"crf": 60}, ".mp4", "libx264 takes 0 to 51"),
        ({"crf": -1}, ".mp4", "--crf -1: give 0 or more"),
        ({"preset": "lots"}, ".mp4", "--preset lots: libx264 takes ultrafast, .*, placebo"),
        ({"preset": "lots", "codec": "hevc"}, ".mp4", "--preset lots: libx265 takes ultrafast"),
        ({"preset": "slow", "codec": "av1"}, ".mp4", "--preset slow: libsvtav1 takes 0, 1, .*, 13"),
        ({"preset": "slow"}, ".webm", "--preset with libvpx-vp9"),
        ({"codec": "h264_vaapi", "preset": "slow"}, ".mp4", "--preset with h264_vaapi"),
        ({"codec": "h264_v4l2m2m", "preset": "slow"}, ".mp4", "--preset with h264_v4l2m2m"),
        ({"codec": "h264"}, ".webm", "cannot hold h264"),
        ({"codec": "copy", "crf": 20}, ".mp4", "--crf with --codec copy"),
        ({"codec": "copy"}, ".mp4", "--codec copy: .*copy-codec"),
        ({"pix_fmt": "yuv411p"}, ".mp4", "--pix-fmt yuv411p: use one of yuv420p"),
        ({"codec": "av1", "pix_fmt": "yuv444p"}, ".mp4", "--pix-fmt yuv444p; it takes yuv420p, yuv420p10le"),
        ({"codec": "h264_qsv"}, ".mp4", "h264_qsv needs hardware"),
        ({"codec": "h264_vaapi"}, ".mp4", "h264_vaapi"),
        ({"codec": "h264_nvenc"}, ".mp4", "h264_nvenc"),
        ({"codec": "h264_v4l2m2m"}, ".mp4", "h264_v4l2m2m"),
    ],
)
def test_what_does_not_go_is_one_line_and_leaves_no_file(
    clip: Path, options: dict[str, object], suffix: str, says: str
) -> None:
    with pytest.raises(UserError, match=says) as error:
        write(clip, clip.with_name(f"out{suffix}"), **options)
    assert "\n" not in str(error.value)
    assert [path.name for path in clip.parent.iterdir()] == ["in.mp4"]


def test_odd_sides_need_an_encoder_of_4_4_4(tmp_path: Path) -> None:
    odd = make_clip(tmp_path / "in.mkv", count=6, size=(65, 65), pix_fmt="yuv444p")
    assert write(odd, tmp_path / "out.mkv", codec="hevc") == "hevc"
    with pytest.raises(UserError, match="libsvtav1 cannot encode yuv444p of 65x65"):
        write(odd, tmp_path / "no.mkv", codec="av1")
    with pytest.raises(UserError, match=r"65x65 has odd sides, which yuv420p10le cannot hold: .*yuv444p10le"):
        write(odd, tmp_path / "no.mkv", codec="hevc", pix_fmt="yuv420p10")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]


@pytest.mark.parametrize(
    ("before", "suffix", "after"),
    [("libx265", ".mp4", "hevc"), ("libvpx-vp9", ".mkv", "vp9"), ("libx264", ".mkv", "h264")],
)
def test_by_default_the_codec_is_that_of_the_input(
    tmp_path: Path, before: str, suffix: str, after: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"x265-params": "log-level=error"} if before == "libx265" else {}
    path = make_clip(tmp_path / "in.mkv", count=6, size=(64, 64), codec=before, options=options)
    assert write(path, tmp_path / f"out{suffix}", codec="auto") == after
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("before", "suffix", "after", "says"),
    [
        ("mpeg4", ".mp4", "h264", "(mpeg4) cannot be encoded here; writing h264"),
        ("libx264", ".webm", "vp9", "(h264) does not fit this format; writing vp9"),
        ("libvpx-vp9", ".avi", "h264", "(vp9) does not fit this format; writing h264"),
    ],
)
def test_another_codec_than_that_of_the_input_is_told(
    tmp_path: Path, before: str, suffix: str, after: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = {"time_base": Fraction(1, 30), "rate": Fraction(30)}
    path = make_clip(tmp_path / "in.mkv", count=6, size=(64, 64), codec=before, options={}, **clip)
    assert write(path, tmp_path / f"out{suffix}", codec="auto") == after
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("colour_range", [1, 2])
def test_ten_bits_hold_what_eight_had_and_say_so(
    tmp_path: Path, colour_range: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_clip(
        tmp_path / "in.mkv", count=6, size=(64, 64), pix_fmt="yuv420p10le", tags=(1, colour_range, 1, 1)
    )
    assert write(path, tmp_path / "8.mkv", codec="h264", crf=0) == "h264"
    assert "10-bit video is processed with 8 bits" in capsys.readouterr().out
    assert write(path, tmp_path / "10.mkv", codec="hevc", crf=0, pix_fmt="yuv420p10") == "hevc"
    assert "room for 10 bits, but the network computes with 8" in capsys.readouterr().out
    eight, ten = read_clip(tmp_path / "8.mkv"), read_clip(tmp_path / "10.mkv")
    assert (eight.pix_fmt.replace("yuvj", "yuv"), ten.pix_fmt) == ("yuv420p", "yuv420p10le")
    assert eight.tags == ten.tags and eight.times == ten.times
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(eight.frames, ten.frames, strict=True)) <= 2


def test_av1_keeps_no_bit_rate_for_tiny_frames(tmp_path: Path) -> None:
    """SVT-AV1 refuses it below 64 pixels with "Invalid argument"."""
    tiny, small = (make_clip(tmp_path / f"{side}.mp4", count=6, size=(64, side)) for side in (62, 64))
    with pytest.raises(UserError, match=r"frames of 62x64, only from 64x64: give --crf, or another --codec"):
        write(tiny, tmp_path / "out.mp4", codec="av1", bitrate="200k")
    assert write(tiny, tmp_path / "crf.mp4", codec="av1", crf=30) == "av1"
    assert write(small, tmp_path / "rate.mp4", codec="av1", bitrate="200k") == "av1"


def test_a_live_recording_has_the_codec_that_is_asked_for(tmp_path: Path) -> None:
    info = StreamInfo("cam", "camera", live=True, rate=Fraction(25), time_base=Fraction(1, 25), codec="hevc")
    for name, encoding, codec in (
        ("hevc", Encoding("hevc", crf=30), "hevc"),
        ("av1", Encoding("av1", bitrate="500k"), "av1"),
        ("auto", Encoding("auto"), "h264"),
    ):
        path = tmp_path / f"{name}.mkv"
        sink = RecordingSink(str(path), info, print, overwrite=False, health=Health("cam"), encoding=encoding)
        sink.start("bgr")
        for index in range(5):
            sink.write(Frame(numbered(index, 144, 192), index, index, Fraction(1, 25)))
        sink.finish()
        made = read_clip(path)
        assert [number_of(frame) for frame in made.frames] == [0, 1, 2, 3, 4]
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.codec.canonical_name == codec


def test_hevc_keeps_the_metadata_of_the_mastering_display(tmp_path: Path) -> None:
    params = {"x264-params": MASTERING}
    path = make_clip(tmp_path / "in.mkv", count=6, size=(64, 64), options=params, tags=(9, 1, 9, 16))
    assert write(path, tmp_path / "out.mkv", codec="hevc") == "hevc"
    assert hdr_of(tmp_path / "out.mkv") == hdr_of(path)


@pytest.mark.parametrize("count", [1, 2])
def test_hevc_of_one_or_two_frames_has_decoding_times(tmp_path: Path, count: int) -> None:
    """The encoder gives random ones, which some runs survive: hence several."""
    clip = make_clip(tmp_path / "in.mp4", count=count, size=(64, 64))
    for again in range(12):
        made = tmp_path / f"{again}.mp4"
        assert write(clip, made, count, codec="hevc") == "hevc"
        with av.open(str(made)) as video:
            times = [packet.dts for packet in video.demux(video=0) if packet.size]
        assert len(times) == count and times == sorted(times)


def test_ten_bits_of_hevc_keep_the_brightness_of_every_picture(tmp_path: Path) -> None:
    """B frames without blocks of their own had that of their neighbours."""
    source = make_clip(tmp_path / "in.mkv", 70, size=(64, 64), rate=Fraction(10))
    write(source, tmp_path / "out.mkv", 70, codec="hevc", pix_fmt="yuv420p10le")
    shown = [number_of(each) for each in read_clip(tmp_path / "out.mkv").frames]
    assert shown == [index % 14 for index in range(70)]


def test_a_pixel_format_that_does_not_fit_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    odd = StreamInfo("drawn", "video", rate=Fraction(25), size=(47, 63))
    with pytest.raises(
        UserError, match="63x47 has odd sides, which nv12 cannot hold: give --pix-fmt yuv444p"
    ):
        Encoding(pix_fmt="nv12").applied_to(container_for(".mkv"), odd, "out.mkv", print)
