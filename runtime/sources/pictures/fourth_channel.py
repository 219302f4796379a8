"""Tell transparency from a fourth byte that only fills up a pixel."""

from pathlib import Path

import numpy as np

from granet.app.console import Say
from granet.data.image_chunks import tiff_directories
from granet.errors import UserError
from runtime.media.frame import Pixels

_WITH_ALPHA_MASK = 56
"""Size in bytes of the smallest BMP header that can state where the transparency is."""
_BIT_FIELDS = 3
_MASKS = {0xFF << 8 * byte: byte for byte in range(4)}
"""Mask of a 32-bit pixel -> the byte it means."""

_EXTRA_SAMPLES = 338
_UNSPECIFIED, _UNASSOCIATED = 0, 2


def without_padding(decoded: Pixels, data: bytes, path: Path, say: Say) -> Pixels:
    """Removes a fourth channel that the file does not declare as transparency.

    Args:
        decoded: uint8 H x W or H x W x C, BGR(A), as OpenCV decodes it.
        data: the whole file.
        path: its name, for errors.
        say: called with a note if the channel that is removed is not constant.

    Raises:
        UserError: if the file is a BMP whose colours are not whole bytes.
    """
    if decoded.ndim != 3 or decoded.shape[2] != 4:
        return decoded
    order = _byte_order_of_bmp(data, path)
    if order is None and not _is_unspecified_in_tiff(data):
        return decoded
    kept = decoded[..., [0, 1, 2] if order is None else order]
    (dropped,) = set(range(4)) - set(order or (0, 1, 2))
    if (decoded[..., dropped] != decoded[0, 0, dropped]).any():
        say("the fourth channel of some pictures is not declared as transparency and is dropped")
    return np.ascontiguousarray(kept)


def _byte_order_of_bmp(data: bytes, path: Path) -> list[int] | None:
    """Bytes of blue, green and red in a pixel of a 32-bit BMP; ``None`` if OpenCV reads its header whole."""
    if data[:2] != b"BM":
        return None
    size, bits, coding = (int.from_bytes(data[a:b], "little") for a, b in ((14, 18), (28, 30), (30, 34)))
    if bits != 32 or coding != _BIT_FIELDS or size >= _WITH_ALPHA_MASK:
        return None
    masks = [int.from_bytes(data[at : at + 4], "little") for at in (62, 58, 54)]
    order = [_MASKS.get(mask) for mask in masks]
    found = [byte for byte in order if byte is not None]
    if len(set(found)) < 3:
        raise UserError(f"{path}: has unusual bit fields; save it as .png, or as an ordinary .bmp")
    return found


def without_premultiplication(data: bytes) -> bytes:
    """A TIFF file of which OpenCV decodes the colours as they are, whatever their transparency.

    It would multiply those of a file with unassociated alpha by it, which a later division cannot undo.
    """
    directory = next(tiff_directories(data), None)
    if directory is None or directory.number(_EXTRA_SAMPLES) != _UNASSOCIATED:
        return data
    field = directory.fields[_EXTRA_SAMPLES]
    return data[: field.at] + bytes(len(field.value)) + data[field.at + len(field.value) :]


def _is_unspecified_in_tiff(data: bytes) -> bool:
    directory = next(tiff_directories(data), None)
    return directory is not None and directory.number(_EXTRA_SAMPLES) == _UNSPECIFIED
