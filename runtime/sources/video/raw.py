"""Uncompressed frames piped to stdin by another program."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from granet.app.console import Say
from granet.app.options import SIZE
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sources.base import Source, StreamInfo, WrongSettingsError
from runtime.sources.video.rgb import RgbConverter
from runtime.sources.video.stream_info import coding_of

_PATTERN = re.compile(SIZE + r":([a-z0-9]+)@(\d+(?:\.\d+)?(?:/\d+)?)")
_FORMATS = ("bgr24", "rgb24", "yuv420p", "nv12", "yuyv422", "gray")
_SIDES = range(16, 16385)
_RATES = (Fraction(1, 100), Fraction(1000))


@dataclass(frozen=True)
class RawFormat:
    """Format of raw frames.

    Attributes:
        height: height in pixels.
        width: width in pixels.
        pixel_format: FFmpeg pixel format: bgr24, rgb24, yuv420p, nv12, yuyv422 or gray.
        rate: frames per second.
    """

    height: int
    width: int
    pixel_format: str
    rate: Fraction

    @property
    def bytes(self) -> int:
        """Size of one frame in bytes."""
        pixels = self.height * self.width
        per_pixel = {"bgr24": 3, "rgb24": 3, "yuyv422": 2, "gray": 1}.get(self.pixel_format)
        return pixels * per_pixel if per_pixel is not None else pixels * 3 // 2


def parse_raw(text: str) -> RawFormat:
    """Parses ``640x480:bgr24@25`` or ``1280x720:yuv420p@30000/1001``.

    Raises:
        WrongSettingsError: if ``text`` is malformed, or the size does not suit the pixel format.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise WrongSettingsError(f"--raw {text}: write WIDTHxHEIGHT:FORMAT@RATE, as in 640x480:bgr24@25")
    width, height, pixel_format = int(match[1]), int(match[2]), match[3]
    if pixel_format not in _FORMATS:
        raise WrongSettingsError(f"--raw {text}: {pixel_format} is not one of {', '.join(_FORMATS)}")
    if width not in _SIDES or height not in _SIDES:
        raise WrongSettingsError(f"--raw {text}: width and height must be {_SIDES[0]} to {_SIDES[-1]} pixels")
    if (pixel_format in ("yuv420p", "nv12") and (width % 2 or height % 2)) or (
        pixel_format == "yuyv422" and width % 2
    ):
        raise WrongSettingsError(f"--raw {text}: {pixel_format} needs even dimensions")
    if match[4].endswith("/0") or not _RATES[0] <= Fraction(match[4]) <= _RATES[1]:
        raise WrongSettingsError(f"--raw {text}: the rate must be 0.01 to 1000 frames per second")
    return RawFormat(height, width, pixel_format, Fraction(match[4]))


class RawSource(Source):
    """Every frame of a pipe, in order; frame n has the time n / rate.

    Args:
        raw: format of the frames.
        file: file to read; ``None`` for stdin.
        say: called with a note if stdin ends within a frame.
        strict: whether that is an error.

    Raises:
        UserError: if stdin is a terminal, or ends before one whole frame.
    """

    def __init__(
        self,
        raw: RawFormat,
        file: BinaryIO | None = None,
        *,
        say: Say = lambda message: None,
        strict: bool = False,
    ) -> None:
        if file is None and sys.stdin is None:
            raise UserError("-: stdin is closed; pipe frames into it")
        if file is None and os.isatty(0):
            raise UserError("-: stdin is a terminal; pipe frames into it")
        self._raw, self._file = raw, file or sys.stdin.buffer
        self._say, self._strict = say, strict
        self._first = self._read(0)
        if self._first is None:
            raise UserError("stdin: has no frames")
        self._coding = coding_of(self._native(self._first))
        self.info = StreamInfo(
            name="stdin",
            kind="video",
            rate=raw.rate,
            time_base=1 / raw.rate,
            size=(raw.height, raw.width),
            matrix=self._coding[1],
        )

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The frames; see :meth:`Source.frames`."""
        convert = RgbConverter(*self._coding[:2], colour)
        data, index = self._first, 0
        while data is not None:
            yield Frame(convert(self._native(data)), index, index, self.info.time_base)
            index += 1
            data = self._read(index)

    def _native(self, data: bytes) -> av.VideoFrame:
        raw, array = self._raw, np.frombuffer(data, np.uint8)
        packed = {"bgr24": 3, "rgb24": 3, "yuyv422": 2}.get(raw.pixel_format)
        shape = (-1, raw.width) if packed is None else (raw.height, raw.width, packed)
        return av.VideoFrame.from_ndarray(array.reshape(shape), raw.pixel_format)

    def _read(self, index: int) -> bytes | None:
        """A whole frame; ``None`` at the end of the pipe."""
        parts, missing = [], self._raw.bytes
        while missing:
            part = self._file.read(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        if not parts:
            return None
        if missing:
            where = f"after frame {index}" if index else "before its first frame"
            truncation = (
                f"stdin: is truncated {where}: {missing:,} of {self._raw.bytes:,} bytes are missing; "
                "check --raw"
            )
            if self._strict or not index:
                raise UserError(truncation)
            self._say(truncation)
            return None
        return b"".join(parts)
