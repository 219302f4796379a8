"""The stated size of a picture is checked before any of it is decoded."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from granet.data.image_bounds import UnknownPictureError, stated_pixels
from granet.data.image_files import read_rgb
from granet.errors import UserError
from runtime.sources.open import open_source

W, H = 67, 53
HUGE = 32_000
ENDINGS = [".jpg", ".png", ".bmp", ".tiff", ".webp", ".jp2", ".avif", ".ppm", ".pgm", ".pbm"]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def black_png(width: int, height: int, bits: int = 1) -> bytes:
    """A complete gray PNG file; its size is a thousandth of the picture's."""
    packer = zlib.compressobj(9)
    row = bytes((width * bits + 7) // 8 + 1)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def small(ending: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    return cv2.imencode(ending, pixels[..., 0] if ending in (".pgm", ".pbm") else pixels)[1].tobytes()


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def with_size(ending: str, side: int) -> bytes:
    """A small picture whose header states ``side`` x ``side`` pixels."""
    data, big = small(ending), struct.Struct(">II")
    if ending == ".jpg":
        return swapped(data, struct.pack(">HH", H, W), struct.pack(">HH", side, side))
    if ending == ".png":
        return data[:16] + big.pack(side, side) + data[24:]
    if ending == ".bmp":
        return data[:18] + struct.pack("<ii", side, -side) + data[26:]
    if ending == ".tiff":
        for tag, value in ((256, W), (257, H)):
            old = struct.pack("<HHIHH", tag, 3, 1, value, 0)
            data = swapped(data, old, struct.pack("<HHII", tag, 4, 1, side))
        return data
    if ending == ".webp":  # lossless: 14 bits each of width - 1 and height - 1 after 0x2f
        at = data.index(b"VP8L") + 9
        (bits,) = struct.unpack_from("<I", data, at)
        side = min(side, 2**14)
        return data[:at] + struct.pack("<I", bits >> 28 << 28 | (side - 1) << 14 | side - 1) + data[at + 4 :]
    if ending == ".jp2":
        return swapped(data, big.pack(W, H), big.pack(side, side))
    if ending == ".avif":
        return swapped(data, b"ispe" + bytes(4) + big.pack(W, H), b"ispe" + bytes(4) + big.pack(side, side))
    return swapped(data, f"{W} {H}".encode(), f"{side}\n# rain\n{side}".encode())


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_stated_size_is_that_of_the_picture(ending: str) -> None:
    decoded = cv2.imdecode(np.frombuffer(small(ending), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape[:2] == (H, W)
    assert stated_pixels(small(ending)) == W * H


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_huge_picture_of_every_format_is_refused(tmp_path: Path, ending: str) -> None:
    (path := tmp_path / f"bomb{ending}").write_bytes(with_size(ending, HUGE))
    assert path.stat().st_size < 20_000
    side = min(HUGE, 2**14) if ending == ".webp" else HUGE
    for read in (read_rgb, lambda path: next(iter(open_source(str(path), print).frames("rgb")))):
        with pytest.raises(UserError, match=rf"{path}: states {side * side:,} pixels; at most 134,217,728"):
            read(path)


def test_a_png_of_kilobytes_that_is_complete_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "bomb.png").write_bytes(black_png(12_000, 12_000))
    assert path.stat().st_size < 25_000
    with pytest.raises(UserError, match=r"bomb.png: states 144,000,000 pixels"):
        read_rgb(path)


def test_the_largest_camera_pictures_are_not_refused() -> None:
    assert stated_pixels(black_png(11_648, 8_736)) == 11_648 * 8_736 < 2**27


def tiff_of(*pages: list[tuple[int, int, int]], order: str = "<", big: bool = False) -> bytes:
    """A TIFF file of pages with entries (tag, type, value)."""
    word, head = ("Q", 16) if big else ("I", 8)
    data = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    data += struct.pack(order + "HHQ", 8, 0, head) if big else struct.pack(order + "I", head)
    for number, entries in enumerate(pages):
        body = struct.pack(order + ("Q" if big else "H"), len(entries))
        for tag, kind, value in entries:
            body += struct.pack(order + "HH" + word, tag, kind, 1)
            code = {3: "H", 4: "I", 16: "Q"}[kind]
            body += struct.pack(order + code, value).ljust(8 if big else 4, b"\0")
        length = len(body) + (8 if big else 4)
        after = len(data) + length if number + 1 < len(pages) else 0
        data += body + struct.pack(order + word, after)
    return data


PAGE = [(256, 3, 30), (257, 3, 20)]


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (tiff_of(PAGE, order=">"), 600),
        (tiff_of(PAGE, big=True), 600),
        (tiff_of(PAGE, [(256, 4, 100_000), (257, 3, 20_000)]), 2_000_000_000),
        (tiff_of([*PAGE, (322, 4, 40_000), (323, 4, 40_000)]), 1_600_000_000),
        (tiff_of([*PAGE, (257, 4, 70_000_000)]), 2_100_000_000),
        (tiff_of([(256, 16, 2**33), (257, 16, 2)], big=True, order=">"), 2**34),
    ],
    ids=["big-endian", "BigTIFF", "second page", "tiles", "a tag twice", "eight bytes"],
)
def test_the_largest_of_all_sizes_of_a_tiff_counts(data: bytes, pixels: int) -> None:
    assert stated_pixels(data) == pixels


def test_the_frames_of_an_animation_count() -> None:
    pictures = [Image.new("RGB", (W, H), (i, 0, 0)) for i in range(0, 90, 30)]
    pictures[0].save(saved := io.BytesIO(), "WEBP", save_all=True, append_images=pictures[1:])
    data = saved.getvalue()
    assert stated_pixels(data) == W * H
    at = data.index(b"ANMF") + 14
    assert stated_pixels(data[:at] + (2**20 - 1).to_bytes(3, "little") * 2 + data[at + 6 :]) == 2**40


def test_the_frame_of_a_jpeg_counts_and_not_its_thumbnail() -> None:
    data, thumbnail = small(".jpg"), with_size(".jpg", 60_000)
    block = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert stated_pixels(data[:2] + block + data[2:]) == W * H
    # libjpeg skips what stands between two segments.
    assert stated_pixels(data[:2] + b"rain\xff\xff" + with_size(".jpg", 60_000)[3:]) == 60_000**2


@pytest.mark.parametrize(
    "data",
    [
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 40000 +X 40000\n",  # formats of OpenCV that are not ours
        b"\x59\xa6\x6a\x95" + struct.pack(">7I", 40_000, 40_000, 24, 0, 1, 0, 0),
        b"P7\nWIDTH 40000\nHEIGHT 40000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
        b"Pf\n40000 40000\n-1.0\n",
        tiff_of([(256, 3, 30)])[:20],
        b"II*\0\xff\xff\xff\xff",
        b"P6" + b"#" * 1_000_000,
        b"RIFF\x10\0\0\0WEBPVP8X",
        b"\xff\xd8\xff\xda",
        b"",
    ],
)  # fmt: skip
def test_a_header_that_is_not_understood_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnknownPictureError):
        stated_pixels(data)
    (path := tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.png: is "):
        read_rgb(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (path := tmp_path / "sparse.bmp").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(UserError, match="is too large: 1,073,741,825 bytes; at most 1,073,741,824 are read"):
        read_rgb(path)
