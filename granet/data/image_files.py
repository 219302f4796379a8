"""Picture files of data sets: which there are, in which order, and their pixels; numpy and OpenCV only."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from granet.data.image_headers import is_cut_short
from granet.errors import UserError

Pixels = NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm"})
"""What counts as a picture, by its ending, in any case."""


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts ``rain-2`` before ``rain-10``; the same on every machine."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def list_pictures(directory: str | Path, below: bool = False) -> list[Path]:
    """The pictures of a directory in natural order; hidden and other files are left out.

    Args:
        directory: where to look.
        below: also in the directories below it.

    Returns:
        At least one path.

    Raises:
        UserError: if there is no such directory, or no picture in it.
    """
    root = Path(directory)
    if not root.is_dir():
        raise UserError(f"{root}: {'is no directory' if root.exists() else 'there is no such directory'}")
    try:
        found = [path for path in (root.rglob("*") if below else root.iterdir()) if _is_picture_file(path)]
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror}") from error
    if not found:
        raise UserError(f"{root}: no pictures in this directory ({' '.join(sorted(SUFFIXES))})")
    return sorted(found, key=lambda path: natural_order(path.relative_to(root).as_posix()))


def read_rgb(path: Path) -> Pixels:
    """The pixels of a picture, upright: uint8 H x W x 3, RGB; gray becomes three equal channels.

    Raises:
        UserError: if the file cannot be read, is damaged or cut short, or is no picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    decoded = decode(data, path, cv2.IMREAD_COLOR)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def decode(data: bytes, path: Path, flags: int) -> NDArray[Any]:
    """A picture from the bytes of a file.

    Args:
        data: the whole file.
        path: its name, for errors.
        flags: OpenCV's, as ``cv2.IMREAD_COLOR``.

    Returns:
        H x W or H x W x C in OpenCV's order, BGR(A).

    Raises:
        UserError: if it is empty, cut short, damaged, or no picture.
    """
    if not data:
        raise UserError(f"{path}: is an empty file")
    if is_cut_short(data):
        raise UserError(f"{path}: is cut short: a part of the picture is missing")
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UserError(f"{path}: cannot be decoded: {error.err or error}") from error
    if decoded is None:
        raise UserError(f"{path}: is damaged, or no picture that can be decoded")
    return decoded


def _is_picture_file(path: Path) -> bool:
    # Hidden files are nobody's pictures: macOS leaves ._1.jpg beside each on a USB stick.
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
