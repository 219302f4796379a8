import io
from fractions import Fraction

import av
import numpy as np
import pytest

from granet.errors import UserError
from runtime.sources.video.raw import RawFormat, RawSource, parse_raw
from tests.media import colour_bars, number_of, numbered


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("640x480:bgr24@25", RawFormat(480, 640, "bgr24", Fraction(25))),
        ("1280x720:yuv420p@30000/1001", RawFormat(720, 1280, "yuv420p", Fraction(30000, 1001))),
        ("1920x1080:gray@12.5", RawFormat(1080, 1920, "gray", Fraction(25, 2))),
    ],
)
def test_formats_are_understood(text: str, raw: RawFormat) -> None:
    assert parse_raw(text) == raw


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("640x480", "write WIDTHxHEIGHT:FORMAT@RATE"),
        ("640x480:bgr24", "write WIDTH"),
        ("640x480:bgra@25", "bgra is not one of bgr24"),
        ("641x480:yuv420p@25", "even dimensions"),
        ("640x481:nv12@25", "even dimensions"),
        ("8x8:bgr24@25", "width and height must be 16"),
        ("640x480:bgr24@0", "rate"),
        ("640x480:bgr24@25/0", "rate"),
    ],
)
def test_wrong_formats_get_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_raw(text)


@pytest.mark.parametrize("pixel_format", ["bgr24", "rgb24", "yuv420p", "nv12", "yuyv422", "gray"])
def test_every_frame_comes_in_its_colours(pixel_format: str) -> None:
    bars = [np.roll(colour_bars(), 32 * number, axis=1) for number in range(3)]
    natives = [
        av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixel_format, dst_colorspace=5)
        for rgb in bars
    ]
    raw = RawFormat(64, 320, pixel_format, Fraction(25))
    data = [native.to_ndarray().tobytes() for native in natives]
    assert {len(frame) for frame in data} == {raw.bytes}
    source = RawSource(raw, io.BytesIO(b"".join(data)))
    frames = list(source.frames("rgb"))
    assert [frame.pts * frame.time_base for frame in frames] == [0, Fraction(1, 25), Fraction(2, 25)]  # type: ignore[operator]
    for frame, rgb in zip(frames, bars, strict=True):
        got, wanted = frame.pixels[32, 16::32].astype(int), rgb[32, 16::32].astype(int)
        if pixel_format == "gray":
            wanted = np.repeat((wanted @ [0.299, 0.587, 0.114]).round()[:, None], 3, axis=1)
        assert np.abs(got - wanted).max() <= (0 if pixel_format == "rgb24" else 5)


class Dribble(io.RawIOBase):
    """A pipe that returns a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1000))


def test_a_pipe_gives_frames_in_pieces_and_half_a_frame_is_noted_or_an_error() -> None:
    raw = parse_raw("64x48:bgr24@25")
    data = b"".join(numbered(i).tobytes() for i in range(3))
    frames = list(RawSource(raw, Dribble(data)).frames("bgr"))  # type: ignore[arg-type]
    assert [number_of(frame.pixels) for frame in frames] == [0, 1, 2]
    said: list[str] = []
    whole = list(RawSource(raw, Dribble(data[:-100]), say=said.append).frames("bgr"))  # type: ignore[arg-type]
    assert [number_of(frame.pixels) for frame in whole] == [0, 1]
    assert said == ["stdin: is truncated after frame 2: 100 of 9,216 bytes are missing; check --raw"]
    source, got = RawSource(raw, Dribble(data[:-100]), strict=True), []  # type: ignore[arg-type]
    with pytest.raises(UserError, match="truncated after frame 2: 100 of 9,216 bytes"):
        got.extend(source.frames("bgr"))
    assert not source.info.live
    with pytest.raises(UserError, match="before its first frame"):
        RawSource(raw, io.BytesIO(bytes(10)))
    with pytest.raises(UserError, match="no frames"):
        RawSource(raw, io.BytesIO())
