"""Metadata that an output keeps of a video, and notes on the rest."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests.media import BASE, RATE, make_clip, numbered
from tests.runtime.sinks.test_video import convert


@pytest.mark.parametrize("rate", [Fraction(25), RATE])
def test_the_last_picture_is_shown_for_as_long_as_it_was(tmp_path: Path, rate: Fraction) -> None:
    """Only the duration of its packet says how long the last picture is shown."""
    source = make_clip(tmp_path / "in.mp4", count=8, rate=rate, last=3 * BASE.denominator)
    for suffix in (".mp4", ".mov", ".mkv", ".webm"):
        convert(source, tmp_path / f"out{suffix}")
        with av.open(str(source)) as was, av.open(str(tmp_path / f"out{suffix}")) as now:
            assert was.duration is not None and now.duration is not None
            assert now.duration == pytest.approx(was.duration, abs=3000)  # of 1 us
    before, after = shown_for(source), shown_for(tmp_path / "out.mkv")
    assert before[-1] == 3 and before[:-1] == pytest.approx([float(1 / rate)] * 7, abs=1e-3)
    assert after == pytest.approx(before, abs=2e-3)


def shown_for(path: Path) -> list[float]:
    """Seconds of each picture, in the order in which they are shown."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        packets.sort(key=lambda packet: packet.pts or 0)
        return [float((packet.duration or 0) * packet.time_base) for packet in packets]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_title_and_the_language_of_the_sound_are_kept(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / "in.mp4", count=5, sound="aac", title="Rain in May", language="spa")
    convert(clip, tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert container.metadata["title"] == "Rain in May"
        assert container.streams.audio[0].metadata["language"] == "spa"
        # The input had another container.
        if suffix == ".mkv":
            assert not {"major_brand", "compatible_brands"} & {name.lower() for name in container.metadata}


def make_tracks(
    path: Path,
    prepare: Callable[[Any], None] = lambda container: None,
    *,
    videos: int = 1,
    sounds: int = 0,
    codec: str = "libx264",
    sound: str = "libopus",
    pix_fmt: str = "yuv420p",
) -> Path:
    """A second of video with several tracks, which ``prepare`` describes before anything is written."""
    options = {"auto-alt-ref": "0"} if codec == "libvpx" else {}  # VP8 with transparency demands it
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream(codec, rate=25, options=options) for _ in range(videos)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        tracks: list[Any] = [container.add_stream(sound, rate=48000) for _ in range(sounds)]
        prepare(container)
        for index in range(25):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(numbered(index), "bgr24").reformat(format=pix_fmt)
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
        for track in tracks:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 48000), np.int16), "s16", "stereo")
            silence.sample_rate, silence.pts = 48000, 0
            container.mux(track.encode(silence))
            container.mux(track.encode(None))
    return path


def test_only_one_of_several_videos_is_noted(tmp_path: Path) -> None:
    path = make_tracks(tmp_path / "in.mkv", videos=2)
    assert convert(path, tmp_path / "out.mkv") == ["only the first of 2 video streams is processed"]
    assert convert(path, tmp_path / "pictures") == ["only the first of 2 video streams is processed"]


CHAPTERS = [(0, 400, "One"), (400, 1000, "Zwei")]


def with_chapters(container: Any) -> None:
    container.set_chapters(
        [
            {
                "id": number,
                "start": start,
                "end": end,
                "time_base": Fraction(1, 1000),
                "metadata": {"title": title},
            }
            for number, (start, end, title) in enumerate(CHAPTERS, 1)
        ]
    )


def chapters_of(path: Path) -> list[tuple[int, int, str]]:
    with av.open(str(path)) as container:
        return [
            (
                int(c["start"] * c["time_base"] * 1000),
                int(c["end"] * c["time_base"] * 1000),
                c["metadata"]["title"],
            )
            for c in container.chapters()
        ]


@pytest.mark.parametrize("source", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("target", [".mkv", ".mp4", ".mov", ".webm", ".m4v"])
def test_chapters_are_kept(tmp_path: Path, source: str, target: str) -> None:
    path = make_tracks(tmp_path / f"in{source}", with_chapters)
    assert convert(path, tmp_path / f"out{target}") == []
    assert chapters_of(tmp_path / f"out{target}") == chapters_of(path) == CHAPTERS


def test_chapters_that_avi_cannot_hold_are_noted(tmp_path: Path) -> None:
    path = make_tracks(tmp_path / "in.mkv", with_chapters)
    assert convert(path, tmp_path / "out.avi") == ["not copied to the output: 2 chapters"]


def with_two_sounds(container: Any) -> None:
    video, first, second = container.streams
    video.metadata["language"] = "jpn"
    first.metadata.update(language="eng", title="Commentary")
    second.metadata.update(language="fra")
    first.disposition = Disposition.comment | Disposition.forced
    second.disposition = Disposition.default


def tracks_of(path: Path) -> list[tuple[str, str, Disposition]]:
    with av.open(str(path)) as container:
        found = [(stream.metadata, stream.disposition) for stream in container.streams]
        return [
            (
                text.get("language", ""),
                text.get("title") or text.get("name", ""),
                flags & ~Disposition.default,
            )
            for text, flags in found
        ]


def default_sound(path: Path) -> list[bool]:
    with av.open(str(path)) as container:
        return [bool(stream.disposition & Disposition.default) for stream in container.streams.audio]


@pytest.mark.parametrize("source", [".mkv", ".mp4"])
@pytest.mark.parametrize(
    ("target", "lost"),
    [(".mkv", ""), (".mp4", ""), (".webm", "the track flags comment"), (".m4v", "")],
)
def test_flags_languages_and_titles_of_tracks_are_kept_or_noted(
    tmp_path: Path, source: str, target: str, lost: str
) -> None:
    path = make_tracks(tmp_path / f"in{source}", with_two_sounds, sounds=2)
    comment = Disposition.forced if lost else Disposition.forced | Disposition.comment
    assert convert(path, tmp_path / f"out{target}") == ([f"not copied to the output: {lost}"] if lost else [])
    assert tracks_of(tmp_path / f"out{target}") == [
        ("jpn", "", Disposition(0)), ("eng", "Commentary", comment), ("fra", "", Disposition(0)),
    ]  # fmt: skip
    assert default_sound(tmp_path / f"out{target}") == [False, True]


def test_what_quicktime_and_avi_cannot_say_of_tracks_is_noted(tmp_path: Path) -> None:
    def describe(container: Any) -> None:
        with_two_sounds(container)
        container.streams[1].metadata["language"] = "pt-BR"

    source = make_tracks(tmp_path / "in.mkv", with_two_sounds, sounds=2, sound="aac")
    (note,) = convert(source, tmp_path / "out.avi")
    assert (
        note
        == "not copied to the output: the track flags default, comment, forced, the languages of the tracks"
    )
    (note,) = convert(make_tracks(tmp_path / "brazil.mkv", describe, sounds=2), tmp_path / "brazil.mp4")
    assert note == "not copied to the output: the languages of the tracks"
    plain = make_tracks(tmp_path / "plain.mkv", sounds=1, sound="aac")
    assert convert(plain, tmp_path / "plain.avi") == []


def test_the_transparency_of_vp9_is_noted(tmp_path: Path) -> None:
    """Only libvpx decodes it; FFmpeg's own decoder leaves only an entry in the metadata."""
    path = make_tracks(tmp_path / "in.webm", codec="libvpx-vp9", pix_fmt="yuva420p")
    assert convert(path, tmp_path / "out.mp4") == ["video transparency is dropped"]
    path = make_tracks(tmp_path / "vp8.webm", codec="libvpx", pix_fmt="yuva420p")
    assert convert(path, tmp_path / "vp8.mp4") == ["video transparency is dropped"]
    path = make_tracks(tmp_path / "opaque.webm", codec="libvpx-vp9")
    assert convert(path, tmp_path / "opaque.mp4") == []


MASTERING = (
    "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):cll=1000,400"
)
"""P3 with 0.0001 to 1000 cd/m2, as the HDR10 samples of x265's manual have it."""


def hdr_of(path: Path) -> dict[str, bytes]:
    with av.open(str(path)) as container:
        side_data: Any = next(container.decode(video=0)).side_data
        return {item.type.name: bytes(item) for item in side_data if "SEI" not in item.type.name}


@pytest.mark.parametrize("params", [MASTERING, MASTERING.partition(":")[0], MASTERING.partition(":")[2]])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".avi"])
def test_metadata_of_the_mastering_display_is_kept(tmp_path: Path, suffix: str, params: str) -> None:
    source = make_clip(tmp_path / "in.mkv", options={"x264-params": params}, tags=(1, 1, 9, 16))
    assert convert(source, tmp_path / f"out{suffix}") == []
    before = hdr_of(source)
    assert len(before) == len(params.split(":"))
    assert hdr_of(tmp_path / f"out{suffix}") == before


def test_metadata_of_the_mastering_display_that_vp9_cannot_hold_is_noted(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", options={"x264-params": MASTERING})
    (note,) = convert(source, tmp_path / "out.webm")
    assert "HDR metadata of the mastering display" in note


SUBTITLE = "1\n00:00:00,000 --> 00:00:01,000\nRain\n"


def test_subtitles_and_attachments_are_noted(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SUBTITLE)
    with av.open(str(tmp_path / "a.srt")) as text:
        made: list[Any] = []

        def prepare(container: Any) -> None:
            made.append(container.add_stream_from_template(text.streams.subtitles[0]))
            container.add_attachment("font.ttf", "font/ttf", b"no font")
            for packet in text.demux():
                if packet.size:
                    packet.stream = made[0]
                    container.mux(packet)

        path = make_tracks(tmp_path / "in.mkv", prepare)
    (note,) = convert(path, tmp_path / "out.mkv")
    assert note == "not copied to the output: 1 attachment stream, 1 subtitle stream"


def test_stereoscopic_and_round_video_is_noted(tmp_path: Path) -> None:
    """Two eyes side by side look like one strange picture once nothing says so."""

    def prepare(container: Any) -> None:
        container.streams[0].metadata["stereo_mode"] = "left_right"

    path = make_tracks(tmp_path / "in.mkv", prepare)
    assert convert(path, tmp_path / "out.mkv") == ["not kept: the arrangement of stereoscopic views"]
