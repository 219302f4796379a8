"""One picture file -> pixels: gray, 16 bits, transparency and EXIF rotation included."""

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

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".jp2"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
"""What counts as a picture, by its ending, in any case."""

_SIXTEEN_TO_EIGHT = 1 / 257
"""65535 -> 255, exactly."""


def is_picture(path: Path) -> bool:
    """Whether the ending of ``path`` is a picture's."""
    return path.suffix.lower() in SUFFIXES


def read_picture(path: Path, colour: Colour, index: int, name: str, say: Say) -> Picture:
    """Reads a picture, upright as its EXIF orientation says.

    One channel becomes three equal ones and is marked ``gray``; transparency is set aside; 16 bits a
    channel are rounded to 8, which ``say`` is told.

    Raises:
        UserError: if the file cannot be read, is damaged or cut short, or is no 8 or 16 bit picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    decoded = decode(data, path, cv2.IMREAD_UNCHANGED)
    if decoded.dtype == np.uint16:
        say("pictures of 16 bits a channel are processed and written with 8")
        decoded = cv2.convertScaleAbs(decoded, alpha=_SIXTEEN_TO_EIGHT)
    if decoded.dtype != np.uint8:
        raise UserError(f"{path}: has {decoded.dtype} values; pictures of 8 or 16 bits a channel can be read")
    turned = upright(decoded.astype(np.uint8, copy=False), orientation(data))
    pixels, alpha, gray = _channels(turned, colour, path)
    return Picture(pixels, index, name=name, alpha=alpha, gray=gray)


def _channels(decoded: Pixels, colour: Colour, path: Path) -> tuple[Pixels, Pixels | None, bool]:
    """(H x W x 3 in ``colour`` order, alpha, whether it was gray)."""
    channels = 1 if decoded.ndim == 2 else decoded.shape[2]
    if channels == 1:
        return _convert(decoded, cv2.COLOR_GRAY2BGR), None, True
    if channels == 3:
        return decoded if colour == "bgr" else _convert(decoded, cv2.COLOR_BGR2RGB), None, False
    if channels == 4:
        code = cv2.COLOR_BGRA2BGR if colour == "bgr" else cv2.COLOR_BGRA2RGB
        return _convert(decoded, code), np.ascontiguousarray(decoded[:, :, 3]), False
    raise UserError(f"{path}: has {channels} channels; 1, 3 or 4 can be read")


def _convert(pixels: Pixels, code: int) -> Pixels:
    return cv2.cvtColor(pixels, code).astype(np.uint8, copy=False)
