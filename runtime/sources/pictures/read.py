"""One picture file -> pixels; handles grey, 16-bit, transparent and EXIF-rotated files."""

from pathlib import Path

import cv2
import numpy as np

from granet.app.console import Say
from granet.app.input_file import PICTURE_BYTES, read_bounded
from granet.data.image_chunks import PNG, png_chunks
from granet.data.image_files import decode
from granet.data.image_headers import orientation
from granet.data.upright import upright
from granet.errors import UserError
from runtime.media.frame import Colour, Pixels
from runtime.sources.base import Picture
from runtime.sources.pictures.fourth_channel import without_padding, without_premultiplication
from runtime.sources.pictures.heif import is_heif, read_heif
from runtime.sources.pictures.metadata import read_metadata
from runtime.sources.pictures.pages import has_more_in_jpeg, is_animated, page, pages_in

_SIXTEEN_TO_EIGHT = 1 / 257
"""65535 -> 255, exactly."""

_OS2_HEADER = 12
"""Size in bytes of the header of a BMP as OS/2 writes it."""


def read_picture(
    path: Path, colour: Colour, index: int, name: str, say: Say, number: int | None = None
) -> Picture:
    """Reads a picture and applies its EXIF rotation.

    A single channel is repeated three times and marked ``gray``; transparency is returned separately;
    16-bit channels are rounded to 8 bits with a note to ``say``.

    Args:
        path: the file.
        colour: channel order of the pixels.
        index: index of the frame.
        name: name of the frame.
        say: called with a note about each unexpected property.
        number: page of the file, from 0; ``None`` for the first, with a note if it has more.

    Raises:
        UserError: if the file cannot be read, is damaged or truncated, or is not an 8-bit or 16-bit
            picture.
    """
    data = read_bounded(path, PICTURE_BYTES)
    if is_heif(path):
        return read_heif(path, data, colour, index, name, say)
    if number is None:
        _say_rest(data, name, say)
    data = page(data, number or 0)
    decoded = decode(without_premultiplication(data), path, _flags(data))
    if decoded.dtype == np.uint16:
        say("16-bit pictures are processed and written as 8-bit")
        decoded = cv2.convertScaleAbs(decoded, alpha=_SIXTEEN_TO_EIGHT)
    if decoded.dtype != np.uint8:
        raise UserError(f"{path}: has {decoded.dtype} values; use an 8-bit or 16-bit picture")
    used = without_padding(decoded.astype(np.uint8, copy=False), data, path, say)
    pixels, alpha, gray = _channels(upright(used, orientation(data)), colour, path)
    if gray and _has_clear_gray(data):
        say("the transparent gray of some PNG files is not kept")
    return Picture(pixels, index, name=name, alpha=alpha, gray=gray, metadata=read_metadata(data, say))


def _flags(data: bytes) -> int:
    """How OpenCV decodes a file; it would decode a BMP of OS/2 as gray to keep its channels."""
    is_os2 = data[:2] == b"BM" and int.from_bytes(data[14:18], "little") == _OS2_HEADER
    return cv2.IMREAD_COLOR if is_os2 else cv2.IMREAD_UNCHANGED


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


def _say_rest(data: bytes, name: str, say: Say) -> None:
    """Tells which pictures of a file are left out."""
    if is_animated(data):
        say(f"{name}: has several frames; only the first is processed, unless this file is the input")
    if (pages := pages_in(data)) > 1:
        say(f"{name}: has {pages} pages; only the first is processed, unless this file is the input")
    if has_more_in_jpeg(data):
        say(
            "some JPEG files hold more than one picture (second view, gain map) or a video; only the main "
            "picture is used"
        )


def _has_clear_gray(data: bytes) -> bool:
    """Whether a PNG file declares one gray as transparent, which OpenCV ignores (it does so for colours)."""
    return data.startswith(PNG) and any(name == b"tRNS" for name, _, _ in png_chunks(data))


def _convert(pixels: Pixels, code: int) -> Pixels:
    return cv2.cvtColor(pixels, code).astype(np.uint8, copy=False)
