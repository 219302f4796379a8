"""An animated WebP as a video. FFmpeg cannot decode it in all versions; OpenCV can."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from granet.app.console import Say
from granet.data.image_chunks import webp_chunks
from granet.data.image_files import decode
from granet.data.image_headers import orientation
from granet.data.upright import upright
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sources.base import DecodedFrame, Source, StreamInfo
from runtime.sources.pictures.metadata import read_metadata

_MEMORY = 2**26
"""Bytes of frames to decode at a time. OpenCV starts again at the first frame each time."""

_SHORTEST = 11
_USUAL = 100
"""Milliseconds. Browsers show frames with a shorter duration than the first for the second."""

_TIME_BASE = Fraction(1, 1000)


class WebpAnimation(Source):
    """Every frame of an animated WebP, composed and upright, with its timestamp.

    Args:
        path: the file.
        data: its content.
        say: called with a note about each property that is not kept.

    Raises:
        UserError: if the file is damaged, or this OpenCV cannot decode it.
    """

    def __init__(self, path: Path, data: bytes, say: Say) -> None:
        if not hasattr(cv2, "imdecodeanimation"):
            raise UserError(
                f"{path}: is an animation, which needs OpenCV 4.11: pip install -U opencv-python, or -U "
                "opencv-python-headless if that is installed"
            )
        self._path, self._data = path, data
        self._orientation = orientation(data)
        # Only the first frame: it checks the file.
        first = upright(decode(data, path, cv2.IMREAD_COLOR).astype(np.uint8, copy=False), self._orientation)
        self._durations = [
            _shown_for(data[at : at + 16]) for name, at, _ in webp_chunks(data) if name == b"ANMF"
        ]
        self._say, self._is_opaque = say, True
        if read_metadata(data, say).icc:
            say("not kept: the colour profile")
        self.info = StreamInfo(
            name=str(path),
            kind="video",
            frames=len(self._durations),
            rate=Fraction(1000 * len(self._durations), sum(self._durations)),
            time_base=_TIME_BASE,
            size=(first.shape[0], first.shape[1]),
            paths=(path,),
        )

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The frames; see :meth:`Source.frames`."""
        assert self.info.size is not None
        height, width = self.info.size
        at_once = max(1, _MEMORY // (4 * height * width))
        encoded = np.frombuffer(self._data, np.uint8)
        index = pts = 0
        while index < len(self._durations):
            _, animation = cv2.imdecodeanimation(encoded, start=index, count=at_once)
            frames = animation.frames
            if not frames:
                where = f"after frame {index}" if index else "before its first frame"
                raise UserError(f"{self._path}: is damaged or truncated {where}")
            for native in frames:
                duration = self._durations[index]
                self._say_if_transparent(native)
                # OpenCV returns four channels only where the file declares transparency.
                pixels = native[..., :3] if colour == "bgr" else native[..., 2::-1]
                pixels = upright(np.ascontiguousarray(pixels, np.uint8), self._orientation)
                yield DecodedFrame(pixels, index, pts, _TIME_BASE, duration=duration)
                index, pts = index + 1, pts + duration

    def _say_if_transparent(self, native: cv2.typing.MatLike) -> None:
        # The header says only that there may be transparent pixels.
        if self._is_opaque and (native[..., 3:] != 255).any():
            self._is_opaque = False
            self._say("video transparency is dropped")


def _shown_for(header: bytes) -> int:
    """Milliseconds of a frame, from the start of its ANMF chunk (RFC 9649, section 2.7.1.2)."""
    duration = int.from_bytes(header[12:15], "little")
    return duration if duration >= _SHORTEST else _USUAL
