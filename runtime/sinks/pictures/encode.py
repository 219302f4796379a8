"""Encode one picture to the bytes of a file."""

from pathlib import Path

import cv2
import numpy as np

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sources.base import Picture
from runtime.views.comparison import SideBySide, join_alpha

_WITH_ALPHA = {".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"}
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR"):
    # OpenCV's default subsamples chroma, which smears red and blue edges.
    _JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_OPTIONS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 means lossless
    ".avif": [cv2.IMWRITE_AVIF_QUALITY, 95],
}


class PictureEncoder:
    """Encodes results or comparisons in the format of their file extension.

    Args:
        colour: channel order of the frames.
        say: called with a note about each property that a format cannot store.
    """

    def __init__(self, colour: Colour, say: Say) -> None:
        self._colour = colour
        self._say = say
        self._side_by_side = SideBySide()

    def __call__(self, suffix: str, frame: Frame, before: Frame | None) -> bytes:
        """Encodes one file.

        Args:
            suffix: file extension such as ``.png``.
            frame: the result; a :class:`Picture` keeps its single channel or its transparency.
            before: the input frame, shown on the left; ``None`` without a comparison.

        Raises:
            UserError: if OpenCV cannot write this format.
        """
        pixels = frame.pixels if before is None else self._side_by_side.join(before.pixels, frame.pixels)
        pixels = self._as_written(pixels, frame, suffix, compare=before is not None)
        try:
            good, data = cv2.imencode(suffix, pixels, _OPTIONS.get(suffix.lower(), []))
        except cv2.error as error:
            raise UserError(f"{suffix} pictures cannot be written: {error.err or error}") from error
        if not good:
            raise UserError(f"{suffix} pictures cannot be written by this OpenCV")
        return data.tobytes()

    def _as_written(self, pixels: Pixels, frame: Frame, suffix: str, *, compare: bool) -> Pixels:
        """The pixels in BGR order, with the number of channels of the input."""
        gray = isinstance(frame, Picture) and frame.gray
        alpha = frame.alpha if isinstance(frame, Picture) else None
        if gray or suffix.lower() == ".pgm":
            code = cv2.COLOR_BGR2GRAY if self._colour == "bgr" else cv2.COLOR_RGB2GRAY
            return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
        if self._colour == "rgb":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        if alpha is None:
            return pixels
        if suffix.lower() not in _WITH_ALPHA:
            self._say(f"{suffix} pictures cannot store transparency, which is dropped; write .png")
            return pixels
        return np.dstack([pixels, join_alpha(alpha) if compare else alpha])


def write_file(path: Path, data: bytes, name: str) -> None:
    """Writes ``data`` to ``path``.

    Raises:
        UserError: if that fails; the message shows ``name``.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"{name}: cannot be written: {error.strerror}") from error
