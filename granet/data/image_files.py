"""Picture files: lists them in a fixed order and decodes them; numpy and OpenCV only."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from granet.app.input_file import PICTURE_BYTES, read_bounded
from granet.data.image_bounds import MAX_PIXELS, UnknownPictureError, stated_pixels
from granet.data.image_ends import with_end
from granet.data.image_headers import is_cut_short, orientation
from granet.data.opencv_log import silence_opencv
from granet.data.png_checksums import with_right_checksums
from granet.data.pnm_range import full_range, unscaled_maximum
from granet.data.tiff_pages import with_page_first
from granet.data.upright import upright
from granet.errors import UserError

Pixels = NDArray[np.uint8]

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".jp2"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Suffixes of picture files, in any case: in data sets, as input and as output."""


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts ``rain-2`` before ``rain-10``, independent of the machine."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def is_picture(path: Path) -> bool:
    """Whether the suffix of ``path`` is that of a picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def is_picture_file(path: Path) -> bool:
    """Whether ``path`` is a visible picture file."""
    return is_picture(path) and is_visible_file(path)


def is_visible_file(path: Path) -> bool:
    """Whether ``path`` is a file that is not hidden."""
    # Hidden files are not pictures: macOS writes a ._1.jpg beside each picture on a USB stick.
    return path.is_file() and not path.name.startswith(".")


def list_pictures(directory: str | Path, below: bool = False) -> list[Path]:
    """Lists the pictures of a directory in natural order; skips hidden and other files.

    Args:
        directory: the directory.
        below: whether to search its subdirectories too.

    Returns:
        At least one path.

    Raises:
        UserError: if the directory is missing, unreadable or without pictures.
    """
    root = Path(directory)
    if not root.is_dir():
        raise UserError(f"{root}: {'is not a directory' if root.exists() else 'there is no such directory'}")
    try:
        found = [path for path in (root.rglob("*") if below else root.iterdir()) if is_picture_file(path)]
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror}") from error
    if not found:
        raise UserError(f"{root}: no pictures in this directory ({' '.join(sorted(PICTURE_SUFFIXES))})")
    return sorted(found, key=lambda path: natural_order(path.relative_to(root).as_posix()))


def read_rgb(path: Path) -> Pixels:
    """Reads a picture, upright: uint8 H x W x 3, RGB; gray becomes three equal channels.

    Raises:
        UserError: if the file cannot be read, is damaged or truncated, or is not a picture.
    """
    data = read_bounded(path, PICTURE_BYTES)
    # OpenCV would not turn every format.
    decoded = decode(data, path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    rgb = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    return upright(rgb, orientation(data))


def decode(data: bytes, path: Path, flags: int) -> NDArray[Any]:
    """Decodes a picture file.

    Args:
        data: the whole file.
        path: its name, for errors.
        flags: flags of OpenCV, such as ``cv2.IMREAD_COLOR``.

    Returns:
        H x W or H x W x C in OpenCV's order, BGR(A).

    Raises:
        UserError: if the file is empty, truncated, damaged, not a picture, or too large to be decoded.
    """
    if not data:
        raise UserError(f"{path}: is an empty file")
    _check_size(data, path)
    has_end = not is_cut_short(data)
    decoded = _decoded(data, path, flags) if has_end else None
    if decoded is None and (ended := with_end(data)) is not None:
        decoded = _decoded(ended, path, flags)
    if decoded is not None:
        return decoded
    if not has_end:
        raise UserError(f"{path}: is truncated: a part of the picture is missing")
    raise UserError(f"{path}: is damaged, or not a picture that can be decoded")


def _decoded(data: bytes, path: Path, flags: int) -> NDArray[Any] | None:
    checked = with_right_checksums(with_page_first(data))
    if checked is None:
        return None
    silence_opencv()
    maximum = unscaled_maximum(checked)
    asked = flags if maximum is None else flags | cv2.IMREAD_ANYDEPTH
    try:
        decoded = cv2.imdecode(np.frombuffer(checked, np.uint8), asked)
    except cv2.error as error:
        raise UserError(f"{path}: cannot be decoded: {error.err or error}") from error
    if maximum is None or decoded is None:
        return decoded
    scaled = full_range(decoded, maximum)
    keeps_depth = asked == flags or scaled.dtype == np.uint8
    return scaled if keeps_depth else (scaled >> 8).astype(np.uint8)  # as OpenCV does with 16 bits


def _check_size(data: bytes, path: Path) -> None:
    try:
        pixels = stated_pixels(data)
    except UnknownPictureError as error:
        if is_cut_short(data):
            raise UserError(f"{path}: is truncated: a part of the picture is missing") from error
        raise UserError(f"{path}: is damaged, or not a picture that can be decoded") from error
    if pixels > MAX_PIXELS:
        raise UserError(
            f"{path}: states {pixels:,} pixels; at most {MAX_PIXELS:,} are decoded: make it smaller first"
        )
