"""One picture file -> pixels; handles grey, 16-bit, transparent and EXIF-rotated files."""

from pathlib import Path

import cv2
import numpy as np

from granet.app.console import Say
from granet.data.image_files import decode
from granet.data.image_headers import orientation
from granet.errors import UserError
from runtime.media.frame import Colour, Pixels
from runtime.media.upright import upright
from runtime.sources.base import Picture

_SIXTEEN_TO_EIGHT = 1 / 257
"""65535 -> 255, exactly."""


def read_picture(path: Path, colour: Colour, index: int, name: str, say: Say) -> Picture:
    """Reads a picture and applies its EXIF rotation.

    A single channel is repeated three times and marked ``gray``; transparency is returned separately;
    16-bit channels are rounded to 8 bits with a note to ``say``.

    Raises:
        UserError: if the file cannot be read, is damaged or truncated, or is not an 8-bit or 16-bit
            picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    decoded = decode(data, path, cv2.IMREAD_UNCHANGED)
    if decoded.dtype == np.uint16:
        say("16-bit pictures are processed and written as 8-bit")
        decoded = cv2.convertScaleAbs(decoded, alpha=_SIXTEEN_TO_EIGHT)
    if decoded.dtype != np.uint8:
        raise UserError(f"{path}: has {decoded.dtype} values; use an 8-bit or 16-bit picture")
    turned = upright(decoded.astype(np.uint8, copy=False), orientation(data))
    pixels, alpha, gray = _channels(turned, colour, path)
    return Picture(pixels, index, name=name, alpha=alpha, gray=gray)


def _channels(decoded: Pixels, colour: Colour, path: Path) -> tuple[Pixels, Pixels | None, bool]:
    """(uint8 H x W x 3 in ``colour`` order, alpha, whether the file was grey)."""
    channels = 1 if decoded.ndim == 2 else decoded.shape[2]
    if channels == 1:
        return _convert(decoded, cv2.COLOR_GRAY2BGR), None, True
    if channels == 3:
        return decoded if colour == "bgr" else _convert(decoded, cv2.COLOR_BGR2RGB), None, False
    if channels == 4:
        code = cv2.COLOR_BGRA2BGR if colour == "bgr" else cv2.COLOR_BGRA2RGB
        return _convert(decoded, code), np.ascontiguousarray(decoded[:, :, 3]), False
    raise UserError(f"{path}: has {channels} channels; use a picture with 1, 3 or 4")


def _convert(pixels: Pixels, code: int) -> Pixels:
    return cv2.cvtColor(pixels, code).astype(np.uint8, copy=False)
