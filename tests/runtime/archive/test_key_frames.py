from fractions import Fraction
from pathlib import Path

import av
import pytest

from granet.errors import UserError
from runtime.archive.key_frames import Segment, index_video
from runtime.sources.video.source import VideoSource
from runtime.sources.video.span import Span
from tests.media import make_clip, number_of
from tests.runtime.archive.recordings import GOP, make_recording


def numbers(path: Path, segment: Segment) -> list[int]:
    with VideoSource(str(path), lambda note: None, span=segment.span) as source:
        return [number_of(frame.pixels) for frame in source.frames("bgr")]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".mov"])
def test_the_segments_hold_every_frame_once_in_order(tmp_path: Path, suffix: str) -> None:
    options = {**GOP, "bf": "0"} if suffix == ".avi" else GOP
    path = make_recording(tmp_path / f"a{suffix}", 70, options=options)
    index = index_video(path, 2.0)
    assert len(index.segments) >= 3
    assert [len(numbers(path, each)) for each in index.segments] == [each.frames for each in index.segments]
    assert [n for each in index.segments for n in numbers(path, each)] == [i % 14 for i in range(70)]


def test_a_segment_is_at_least_as_long_as_asked(tmp_path: Path) -> None:
    index = index_video(make_recording(tmp_path / "a.mp4", 70), 1.5)
    assert [each.frames for each in index.segments] == [20, 20, 20, 10]
    assert index.seconds == pytest.approx(7.0, abs=0.05)
    assert index.size == (48, 64)


def test_one_key_frame_makes_one_segment(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "a.mp4", 40, options={"g": "999", "x264-params": "scenecut=0"})
    assert index_video(path, 1.0).segments == (Segment(Span(), 40),)


def test_a_variable_rate_is_cut_by_time(tmp_path: Path) -> None:
    pts = [i * 3000 if i < 35 else 35 * 3000 + (i - 35) * 12000 for i in range(70)]
    path = make_recording(tmp_path / "a.mkv", 70, pts=pts, time_base=Fraction(1, 30000))
    segments = index_video(path, 4.0).segments
    assert [each.frames for each in segments] == [40, 10, 10, 10]
    assert [n for each in segments for n in numbers(path, each)] == [i % 14 for i in range(70)]


def test_clocks_that_jump_back_are_not_cut_where_frames_would_be_lost(tmp_path: Path) -> None:
    for name in ("a.ts", "b.ts"):
        make_recording(tmp_path / name, 30)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert sum(each.frames for each in index_video(joined, 1.0).segments) == 60


def test_a_span_begins_at_the_start_if_the_demuxer_seeks_too_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MPEG-TS has no index; a seek may end behind the frame that was wanted."""
    path = make_recording(tmp_path / "a.ts", 70)
    segment = index_video(path, 2.0).segments[1]
    expected = numbers(path, segment)
    seek = av.container.InputContainer.seek
    calls: list[int] = []

    class Late:
        def __init__(self, container: object) -> None:
            self._container = container

        def __getattr__(self, name: str) -> object:
            return getattr(self._container, name)

        def seek(self, offset: int, **options: object) -> None:
            calls.append(offset)
            late = offset + 300_000 if len(calls) == 1 else offset
            seek(self._container, late, **options)  # type: ignore[arg-type]

    opened = av.open
    monkeypatch.setattr(av, "open", lambda *args, **options: Late(opened(*args, **options)))
    assert numbers(path, segment) == expected
    assert len(calls) == 2


def test_another_file_than_a_video_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"hello" * 100)
    with pytest.raises(UserError):
        index_video(tmp_path / "a.mp4", 1.0)


def test_a_second_recording_behind_the_first_is_noted(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", count=25)
    assert index_video(path, 1).notes == ()
    path.write_bytes(path.read_bytes() * 2)
    assert index_video(path, 1).notes == (
        f"{path}: a second video that was joined to it is left out; process it as a file of its own",
    )
