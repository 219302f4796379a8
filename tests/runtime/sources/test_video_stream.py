"""The stated properties of a stream, and their use."""

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from granet.errors import UserError
from runtime.sources.base import DecodedFrame
from runtime.sources.video.source import VideoSource
from tests.media import BARS, colour_bars, make_clip, numbered


@pytest.mark.parametrize("colour_range", [1, 2])
def test_the_range_that_a_stream_states_decides_what_its_levels_mean(
    tmp_path: Path, colour_range: int
) -> None:
    # FFV1 codes both ranges in the same pixel format, so that nothing but the tag tells them apart; H.264
    # comes out of the decoder as yuvj420p, whose name is enough.
    path = make_clip(
        tmp_path / "bars.mkv", frames=[colour_bars()] * 2, order="rgb24", tags=(1, colour_range, 2, 2),
        codec="ffv1", options={}, pix_fmt="yuv444p",
    )  # fmt: skip
    with VideoSource(str(path), print) as source:
        frame = next(iter(source.frames("rgb")))
    assert isinstance(frame, DecodedFrame) and frame.native is not None
    assert frame.native.format.name == "yuv444p"
    assert np.abs(frame.pixels[32, 16::32].astype(int) - BARS).max() <= 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"codec": "ffv1", "options": {}, "pix_fmt": "yuva420p"}, "transparency"),
        ({"options": {"preset": "ultrafast", "x264-params": "tff=1"}}, "interlaced"),
        ({}, ""),
    ],
)
def test_what_an_output_will_not_have_is_noted(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    said: list[str] = []
    with VideoSource(str(make_clip(tmp_path / "a.mkv", count=3, **settings)), said.append) as source:
        assert len(list(source.frames("bgr"))) == 3
    assert [line for line in said if told in line] == said and len(said) == (1 if told else 0)


def test_the_picture_on_the_cover_of_a_song_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), "s16", "stereo")
        silence.sample_rate = 48000
        for packet in (*stream.encode(silence), *stream.encode(None)):
            container.mux(packet)
    # A PICTURE block of FLAC (RFC 9639, section 8.8): type, MIME, description, sides, depth, colours, data.
    jpeg = cv2.imencode(".jpg", numbered(3))[1].tobytes()
    fields = [(3).to_bytes(4, "big"), (10).to_bytes(4, "big") + b"image/jpeg", bytes(4)]
    fields += [number.to_bytes(4, "big") for number in (64, 48, 24, 0, len(jpeg))]
    block = b"".join(fields) + jpeg
    data = path.read_bytes()
    # After the stream's own block, of 4 + 34 bytes, which must not be the last one now.
    picture = bytes([6]) + len(block).to_bytes(3, "big") + block
    path.write_bytes(data[:4] + bytes([data[4] & 0x7F]) + data[5:42] + picture + data[42:])
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(UserError, match="has no video"):
        VideoSource(str(path), print)


def test_a_hole_in_a_broadcast_that_was_kept_is_damage(tmp_path: Path) -> None:
    """The demuxer says so with a flag, and goes on as if nothing were missing."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(60)]
    path = make_clip(tmp_path / "a.ts", frames=noise)
    data = path.read_bytes()
    middle = len(data) // 188 // 2 * 188
    path.write_bytes(data[:middle] + data[middle + 3 * 188 :])
    said: list[str] = []
    with VideoSource(str(path), said.append) as source:
        assert len(list(source.frames("bgr"))) == 60
    assert said == [f"{path}: is damaged: 1 packet incomplete; 60 frames were decoded"]
    with (
        pytest.raises(UserError, match=r"a\.ts: is damaged or truncated after frame \d+"),
        VideoSource(str(path), print, strict=True) as source,
    ):
        list(source.frames("bgr"))
