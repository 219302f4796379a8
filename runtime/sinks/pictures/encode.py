"""One picture -> the bytes of a file."""

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
    # OpenCV's default halves the colours, which smears red and blue edges.
    _JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_OPTIONS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # more than 100 is lossless
    ".avif": [cv2.IMWRITE_AVIF_QUALITY, 95],
}


class PictureEncoder:
    """Encodes results, or comparisons, as their names' endings say.

    Args:
        colour: channel order of the frames.
        say: is told what a format cannot keep.
    """

    def __init__(self, colour: Colour, say: Say) -> None:
        self._colour = colour
        self._say = say
        self._side_by_side = SideBySide()

    def __call__(self, suffix: str, frame: Frame, before: Frame | None) -> bytes:
        """The file.

        Args:
            suffix: ``.png`` and the like.
            frame: the result; gray and transparency of a :class:`Picture` are kept.
            before: what it was made from, to be shown on the left; or ``None``.

        Raises:
            UserError: if OpenCV cannot write such a file.
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
        """OpenCV's order, and as many channels as the input had."""
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
            self._say(f"{suffix} pictures have no transparency; it is left out")
            return pixels
        return np.dstack([pixels, join_alpha(alpha) if compare else alpha])


def write_file(path: Path, data: bytes, name: str) -> None:
    """Writes ``data``.

    Raises:
        UserError: naming ``name``, if that fails.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"{name}: cannot be written: {error.strerror}") from error
