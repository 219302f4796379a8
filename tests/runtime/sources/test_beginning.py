"""A file whose clock does not begin at zero: nothing of it is lost, and time begins at zero."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from granet.errors import UserError
from runtime.live.pipeline import Pipeline
from runtime.sinks.open import open_sink
from runtime.sources.open import open_source
from runtime.sources.part.part import Part
from runtime.sources.video.source import VideoSource
from tests.media import make_clip, number_of, read_clip
from tests.runtime.fakes import FakeEngine

RATE = Fraction(25)
COUNT = 30
HOURS = "50000"
WRAP = 2**33 / 90_000
"""Seconds after which the clock of MPEG-TS begins anew."""


def late(path: Path, offset: str, **settings: object) -> Path:
    """A recording with sound whose clock begins at ``offset`` seconds and a little."""
    options = {"crf": "1", "preset": "ultrafast", "g": "50", "bf": "2"}
    return make_clip(
        path, COUNT, rate=RATE, sound="aac", options=options, container_options={"output_ts_offset": offset},
        **settings,
    )  # fmt: skip


def convert(path: Path, target: Path, part: Part = Part()) -> Path:  # noqa: B008
    with open_source(str(path), print, part=part) as source:
        sink = open_sink(str(target), source.info, print, window=False, overwrite=False, limit=None)
        assert Pipeline(source, FakeEngine("bgr"), sink).run().complete
    return target


@pytest.mark.parametrize("offset", [HOURS, str(WRAP - 3)])
@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "avi"])
def test_a_broadcast_is_as_long_as_it_was(offset: str, kind: str, tmp_path: Path) -> None:
    path = late(tmp_path / "in.ts", offset)
    with av.open(str(path)) as container:
        begin, length = container.start_time / av.time_base, container.duration / av.time_base
        assert begin > 49_000 or begin < 0
    made = convert(path, tmp_path / f"out.{kind}")
    seen = read_clip(made)
    assert [number_of(frame) for frame in seen.frames] == [i % 14 for i in range(COUNT)]
    with av.open(str(made)) as container:
        assert abs(container.start_time) / av.time_base < 0.2
        assert container.duration / av.time_base == pytest.approx(length, abs=0.2)


def test_a_start_in_the_first_group_of_pictures_loses_no_frame(tmp_path: Path) -> None:
    """A transport stream is searched by decoding times: a search for the first picture goes too far."""
    for count, group in ((COUNT, "50"), (4 * COUNT, "50")):
        path = tmp_path / f"{count}.ts"
        make_clip(path, count, rate=RATE, options={"crf": "1", "preset": "ultrafast", "g": group, "bf": "2"})
        with VideoSource(str(path), print, start=Fraction("0.2")) as source:
            numbers = [number_of(frame.pixels) for frame in source.frames("bgr")]
        assert numbers == [i % 14 for i in range(5, count)]


@pytest.mark.parametrize(("delayed", "side"), [("video", "before"), ("audio", "after")])
def test_a_format_without_times_refuses_what_it_would_put_out_of_sync(
    delayed: str, side: str, tmp_path: Path
) -> None:
    """AVI stores frame numbers and begins both at once: lips would move a second too early or too late."""
    path = tmp_path / "in.mkv"
    made = make_clip(tmp_path / "a.mkv", COUNT, rate=RATE, sound="mp3", seconds=2)
    with av.open(str(made)) as given, av.open(str(path), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is None:
                continue
            ticks = round(1 / packet.time_base) if packet.stream.type == delayed else 0
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = streams[packet.stream.index]
            container.mux(packet)
    with pytest.raises(UserError, match=rf"sound begins 1\.0 s {side} the picture; write \.mp4 or \.mkv$"):
        convert(path, tmp_path / "out.avi")
    wanted, seen = read_clip(path), read_clip(convert(path, tmp_path / "out.mp4"))
    offsets = [float(clip.times[0]) - float(clip.sound_times[0]) for clip in (wanted, seen)]
    assert offsets[1] == pytest.approx(offsets[0], abs=0.03)
