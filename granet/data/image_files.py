"""Picture files: lists them in a fixed order and decodes them; numpy and OpenCV only."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from granet.data.image_headers import is_cut_short
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
    # Hidden files are not pictures: macOS writes a ._1.jpg beside each picture on a USB stick.
    return is_picture(path) and path.is_file() and not path.name.startswith(".")


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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    decoded = decode(data, path, cv2.IMREAD_COLOR)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def decode(data: bytes, path: Path, flags: int) -> NDArray[Any]:
    """Decodes a picture file.

    Args:
        data: the whole file.
        path: its name, for errors.
        flags: flags of OpenCV, such as ``cv2.IMREAD_COLOR``.

    Returns:
        H x W or H x W x C in OpenCV's order, BGR(A).

    Raises:
        UserError: if the file is empty, truncated, damaged or not a picture.
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
        raise UserError(f"{path}: is damaged, or not a picture that can be decoded")
    return decoded
