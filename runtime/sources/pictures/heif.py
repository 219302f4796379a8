"""HEIC and HEIF pictures, which cameras of phones write in tiles; needs the package pillow-heif."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from granet.app.console import Say
from granet.app.extras import require
from granet.data.image_chunks import boxes
from granet.errors import UserError
from runtime.media.frame import Colour
from runtime.media.picture_metadata import PictureMetadata, cicp_chunk
from runtime.sources.base import Picture
from runtime.sources.pictures.metadata import upright_exif

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
"""Suffixes of pictures that are read but not written."""

HEIF_PACKAGE = "pillow-heif"

_MOVING = {b"moov", b"mpvd"}
"""Boxes beside a picture: the tracks of a sequence of pictures, and the video of a motion photo."""

MAX_PIXELS = 2**28
"""Most pixels of a picture; larger ones are refused before they are decoded."""


def is_heif(path: Path) -> bool:
    """Whether the suffix of ``path`` is that of a HEIC or HEIF picture."""
    return path.suffix.lower() in HEIF_SUFFIXES


def can_read_heif() -> bool:
    """Whether the package is installed."""
    return find_spec(HEIF_PACKAGE.replace("-", "_")) is not None


def require_heif() -> None:
    """Raises one line if the package is not installed.

    Raises:
        UserError: says how to install it.
    """
    require("reading a HEIC picture", HEIF_PACKAGE)


def read_heif(path: Path, data: bytes, colour: Colour, index: int, name: str, say: Say) -> Picture:
    """Reads the primary picture; libheif joins its tiles and turns it upright.

    Raises:
        UserError: if the file is damaged or too large.
    """
    import pillow_heif

    kinds = _kinds_of_boxes(data)
    try:
        file = pillow_heif.open_heif(_without_tracks(data), bgr_mode=colour == "bgr")
        image = file[file.primary_index]
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UserError(f"{path}: is too large: {width}x{height}")
        stored = np.frombuffer(image.data, np.uint8)
    except (ValueError, OSError, RuntimeError, EOFError, SyntaxError) as error:
        raise UserError(f"{path}: is damaged, or not a picture that can be decoded") from error
    if len(file) > 1:
        say(f"{name}: has {len(file)} pictures; only the main one is processed")
    if kinds & _MOVING:
        say("some HEIC files hold a video or a sequence too; only the main picture is used")
    if image.info.get("bit_depth", 8) > 8:
        say("10-bit and 12-bit pictures are processed and written as 8-bit")
    if image.info.get("metadata"):
        say("XMP metadata of pictures is not kept")
    channels = {"L": 1, "RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4}[image.mode]
    rows = stored.reshape(height, image.stride)[:, : width * channels].reshape(height, width, channels)
    gray = channels == 1
    pixels = np.ascontiguousarray(np.repeat(rows, 3, 2) if gray else rows[..., :3])
    alpha = np.ascontiguousarray(rows[..., 3]) if channels == 4 else None
    return Picture(pixels, index, name=name, alpha=alpha, gray=gray, metadata=_metadata(image.info))


def is_sequence_alone(data: bytes) -> bool:
    """Whether a HEIC file holds a sequence of pictures and no single one, so that it is read as a video."""
    kinds = _kinds_of_boxes(data)
    return b"moov" in kinds and b"meta" not in kinds


def _kinds_of_boxes(data: bytes) -> set[bytes]:
    return {kind for kind, _, _ in boxes(data)}


def _without_tracks(data: bytes) -> bytes:
    """The file with its tracks hidden: libheif refuses the picture beside tracks that it cannot read."""
    for kind, at, _ in boxes(data):
        if kind == b"moov":
            name = data.rindex(b"moov", 0, at)
            data = data[:name] + b"free" + data[name + 4 :]
    return data


def _metadata(info: dict[str, object]) -> PictureMetadata:
    icc, exif, nclx = info.get("icc_profile"), info.get("exif"), info.get("nclx_profile")
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(nclx, dict):
        chunks = cicp_chunk(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
    return PictureMetadata(
        icc if isinstance(icc, bytes) else b"",
        upright_exif(exif.removeprefix(b"Exif\0\0")) if isinstance(exif, bytes) else b"",
        chunks,
    )
