"""What an output keeps of a video beside its pictures, and what is said not to be kept."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media import BASE, RATE, make_clip, numbered
from tests.runtime.sinks.test_video import convert


@pytest.mark.parametrize("rate", [Fraction(25), RATE])
def test_the_last_picture_is_shown_for_as_long_as_it_was(tmp_path: Path, rate: Fraction) -> None:
    """Only the duration of its packet says so: no picture follows it."""
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
        # What the input's container was is not what this one is.
        if suffix == ".mkv":
            assert not {"major_brand", "compatible_brands"} & {name.lower() for name in container.metadata}


def test_what_is_not_carried_over_is_told(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(3):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(numbered(index), "bgr24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    assert convert(path, tmp_path / "out.mkv") == ["not copied to the output: 1 video stream"]
