"""A fourth byte of a pixel is transparency only where the file says so."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from granet.errors import UserError
from tests.runtime.sources.test_pictures import read_one

RED, GREEN, BLUE, ALPHA = 0xFF0000, 0xFF00, 0xFF, 0xFF000000
BGR = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)


def bmp(path: Path, pixels: bytes, header: int, masks: tuple[int, ...]) -> Path:
    """A 2 x 2 BMP of 32 bits with bit fields, rows from the top; the header has ``header`` bytes."""
    inside = struct.pack("<IiiHHIIiiII", header, 2, -2, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    fields = struct.pack(f"<{len(masks)}I", *masks)
    after = inside + fields + bytes(max(0, header - len(inside) - len(fields)))
    start = 14 + len(after)
    path.write_bytes(b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + after + pixels)
    return path


def filled(fourth: int, order: tuple[int, ...] = (0, 1, 2, 3)) -> bytes:
    pixels = np.dstack([BGR, np.full((2, 2), fourth, np.uint8)])
    return np.ascontiguousarray(pixels[..., list(order)]).tobytes()


@pytest.mark.parametrize("header", [40, 52])
@pytest.mark.parametrize("fourth", [0, 255])
def test_an_unused_byte_of_bmp_is_opaque(tmp_path: Path, header: int, fourth: int) -> None:
    picture, said = read_one(bmp(tmp_path / "a.bmp", filled(fourth), header, (RED, GREEN, BLUE)))
    assert picture.alpha is None and not said
    assert np.array_equal(picture.pixels, BGR)


@pytest.mark.parametrize(
    ("masks", "order"), [((BLUE, GREEN, RED), (2, 1, 0, 3)), ((ALPHA, RED, GREEN), (3, 0, 1, 2))]
)
def test_the_masks_of_bmp_decide_which_byte_is_red(
    tmp_path: Path, masks: tuple[int, ...], order: tuple[int, ...]
) -> None:
    picture, _ = read_one(bmp(tmp_path / "a.bmp", filled(0, order), 40, masks))
    assert np.array_equal(picture.pixels, BGR) and picture.alpha is None


def test_colours_that_are_not_whole_bytes_are_refused(tmp_path: Path) -> None:
    path = bmp(tmp_path / "a.bmp", filled(0), 40, (0x3FF00000, 0xFFC00, 0x3FF))
    with pytest.raises(UserError, match=r"a\.bmp: has unusual bit fields"):
        read_one(path)


@pytest.mark.parametrize("header", [56, 108, 124])
def test_declared_transparency_of_bmp_stays(tmp_path: Path, header: int) -> None:
    picture, _ = read_one(bmp(tmp_path / "a.bmp", filled(77), header, (RED, GREEN, BLUE, ALPHA)))
    assert picture.alpha is not None and (picture.alpha == 77).all()
    assert np.array_equal(picture.pixels, BGR)


def test_bytes_that_might_be_transparency_are_not_dropped_silently(tmp_path: Path) -> None:
    data = bytearray(filled(0))
    data[3] = 9
    picture, said = read_one(bmp(tmp_path / "a.bmp", bytes(data), 40, (RED, GREEN, BLUE)))
    assert picture.alpha is None and len(said) == 1 and "fourth channel" in said[0]


def test_an_unspecified_sample_of_tiff_is_opaque(tmp_path: Path) -> None:
    pixels = np.dstack([BGR[..., ::-1], np.zeros((2, 2), np.uint8)])
    Image.frombytes("RGBX", (2, 2), pixels.tobytes()).save(tmp_path / "a.tiff")
    picture, said = read_one(tmp_path / "a.tiff")
    assert picture.alpha is None and not said
    assert np.array_equal(picture.pixels, BGR)


def test_the_colours_of_transparent_pixels_of_tiff_are_its_own(tmp_path: Path) -> None:
    """OpenCV multiplies them by the transparency."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.tiff")
    picture, _ = read_one(tmp_path / "a.tiff", "rgb")
    assert picture.alpha is not None and np.array_equal(picture.alpha, pixels[..., 3])
    assert np.array_equal(picture.pixels, pixels[..., :3])


def test_a_transparent_gray_of_png_is_noted(tmp_path: Path) -> None:
    Image.fromarray(BGR[..., 0]).save(tmp_path / "a.png", transparency=4)
    picture, said = read_one(tmp_path / "a.png")
    assert picture.gray and len(said) == 1 and "transparent gray" in said[0]


def test_a_bmp_of_os2_keeps_its_colours(tmp_path: Path) -> None:
    """Its header has 12 bytes, which OpenCV takes for the mark of a gray picture."""
    rows = b"".join(row.tobytes().ljust(8, b"\0") for row in BGR[::-1])
    path = tmp_path / "a.bmp"
    header = struct.pack("<IHHHH", 12, 2, 2, 1, 24)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + header + rows)
    picture, said = read_one(path)
    assert np.array_equal(picture.pixels, BGR) and not picture.gray and not said
