"""Metadata that a picture keeps, and notes on the rest; Pillow is the second implementation."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from runtime.media.picture_metadata import PictureMetadata
from runtime.sinks.pictures.embed import embed
from tests.media import make_clip
from tests.runtime.sinks.test_pictures import run

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 30, 3), np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LONG = PROFILE + bytes(200_000)
"""An ICC profile as long as a printer's: a JPEG needs several segments for it."""
DATE, ORIENTATION, TAKEN = 0x0132, 0x0112, "2026:05:01 12:00:00"
EMBEDDING = [".png", ".jpg", ".webp", ".tiff", ".avif"]


def write(path: Path, pixels: Any = RGB, **settings: Any) -> Path:
    Image.fromarray(pixels).save(path, **settings)
    return path


def profile_of(path: Path) -> bytes | None:
    with Image.open(path) as image:
        image.load()
        return image.info.get("icc_profile")


def pixels_of(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("source", EMBEDDING)
@pytest.mark.parametrize("target", EMBEDDING)
def test_a_colour_profile_is_embedded_again(tmp_path: Path, source: str, target: str) -> None:
    write(tmp_path / f"in{source}", icc_profile=PROFILE)
    assert run(tmp_path / f"in{source}", tmp_path / f"out{target}") == []
    assert profile_of(tmp_path / f"out{target}") == PROFILE


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tiff"])
def test_a_long_profile_is_kept_whole(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"in{suffix}", icc_profile=LONG)
    run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
    assert profile_of(tmp_path / f"out{suffix}") == LONG


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_pixels_of_a_picture_with_a_profile_are_its_own(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    if suffix == ".webp" and channels == 1:
        pytest.skip("WebP has no gray pictures")
    # Where nothing shows, WebP has no colour.
    pixels = RNG.integers(1, 256, (20, 31, channels), np.uint8).squeeze()
    gray = PROFILE[:16] + b"GRAY" + PROFILE[20:]
    settings: dict[str, Any] = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    profile = gray if channels == 1 else PROFILE
    write(tmp_path / f"in{suffix}", pixels, icc_profile=profile, **settings)
    assert run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}") == []
    assert np.array_equal(pixels_of(tmp_path / f"out{suffix}"), pixels)
    assert profile_of(tmp_path / f"out{suffix}") == profile


def test_a_profile_that_a_format_cannot_store_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "in.png", icc_profile=PROFILE)
    (note,) = run(tmp_path / "in.png", tmp_path / "out.bmp")
    assert "cannot store the colour profile" in note
    assert run(write(tmp_path / "plain.png"), tmp_path / "plain.bmp") == []


def test_the_profile_of_a_printer_does_not_describe_rgb(tmp_path: Path) -> None:
    """OpenCV decodes CMYK to RGB."""
    profile = PROFILE[:16] + b"CMYK" + PROFILE[20:]
    image = Image.fromarray(RGB).convert("CMYK")
    image.save(tmp_path / "in.jpg", icc_profile=profile)
    (note,) = run(tmp_path / "in.jpg", tmp_path / "out.jpg")
    assert "profile" in note and profile_of(tmp_path / "out.jpg") is None


def test_a_damaged_profile_of_png_does_not_end_the_run(tmp_path: Path) -> None:
    data = write(tmp_path / "in.png", icc_profile=PROFILE).read_bytes()
    at = data.index(b"iCCP")
    (tmp_path / "in.png").write_bytes(data[: at + 20] + b"\xff" * 8 + data[at + 28 :])
    run(tmp_path / "in.png", tmp_path / "out.png")
    assert np.array_equal(pixels_of(tmp_path / "out.png"), RGB)


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".avif"])
def test_the_date_of_a_photograph_is_kept_and_it_is_turned_once(
    tmp_path: Path, source: str, target: str
) -> None:
    exif = Image.Exif()
    exif[DATE], exif[ORIENTATION] = TAKEN, 6
    write(tmp_path / f"in{source}", exif=exif)
    assert run(tmp_path / f"in{source}", tmp_path / f"out{target}") == []
    with Image.open(tmp_path / f"out{target}") as image:
        assert image.size == (20, 30)
        assert image.getexif()[DATE] == TAKEN and image.getexif().get(ORIENTATION, 1) == 1


@pytest.mark.parametrize("source", [".jpg", ".png", ".tiff", ".bmp"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".tiff", ".bmp"])
def test_the_resolution_is_kept(tmp_path: Path, source: str, target: str) -> None:
    write(tmp_path / f"in{source}", dpi=(300, 150))
    assert run(tmp_path / f"in{source}", tmp_path / f"out{target}") == []
    with Image.open(tmp_path / f"out{target}") as image:
        assert [round(float(value)) for value in image.info["dpi"]] == [300, 150]
        assert np.asarray(image).shape == RGB.shape


def test_the_text_of_a_png_is_kept_or_told(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "Rain")
    text.add_itxt("Author", "Zoë", zip=True)
    write(tmp_path / "in.png", pnginfo=text, dpi=(72, 72))
    assert run(tmp_path / "in.png", tmp_path / "out.png") == []
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.info["Title"] == "Rain" and image.info["Author"] == "Zoë"
    notes = run(tmp_path / "in.png", tmp_path / "out.webp")
    assert any("text of PNG" in note for note in notes) and any("dots per inch" in note for note in notes)


def test_exif_of_a_tiff_is_told(tmp_path: Path) -> None:
    write(tmp_path / "in.tiff", tiffinfo={DATE: TAKEN})
    (note,) = run(tmp_path / "in.tiff", tmp_path / "out.tiff")
    assert "EXIF metadata of TIFF" in note


def test_exif_that_a_format_cannot_store_is_noted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[DATE] = TAKEN
    (note,) = run(write(tmp_path / "in.jpg", exif=exif), tmp_path / "out.tiff")
    assert "EXIF" in note


def with_png_chunk(data: bytes, name: bytes, payload: bytes) -> bytes:
    chunk = struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))
    return data[:33] + chunk + data[33:]


HDR10 = b"\x09\x10\x00\x01"
"""BT.2020, PQ, RGB, full range (H.273)."""


@pytest.mark.parametrize(
    ("name", "payload"), [(b"cICP", HDR10), (b"gAMA", struct.pack(">I", 100_000)), (b"cLLI", bytes(8))]
)
def test_colour_tags_of_png_are_kept_or_noted(tmp_path: Path, name: bytes, payload: bytes) -> None:
    data = write(tmp_path / "in.png").read_bytes()
    (tmp_path / "in.png").write_bytes(with_png_chunk(data, name, payload))
    assert run(tmp_path / "in.png", tmp_path / "out.png") == []
    assert (tmp_path / "out.png").read_bytes().count(name + payload) == 1
    (note,) = run(tmp_path / "in.png", tmp_path / "out.jpg")
    assert "colour space" in note


def test_tags_of_srgb_go_without_a_note(tmp_path: Path) -> None:
    data = with_png_chunk(write(tmp_path / "in.png").read_bytes(), b"gAMA", struct.pack(">I", 45455))
    (tmp_path / "in.png").write_bytes(data)
    assert run(tmp_path / "in.png", tmp_path / "out.jpg") == []


def test_pictures_of_an_hdr_video_say_so(tmp_path: Path) -> None:
    run(make_clip(tmp_path / "in.mkv", count=2, tags=(1, 1, 9, 16)), tmp_path / "out")
    assert b"cICP" + HDR10 in (tmp_path / "out" / "000001.png").read_bytes()
    run(make_clip(tmp_path / "sdr.mkv", count=2, tags=(1, 1, 1, 1)), tmp_path / "plain")
    assert b"cICP" not in (tmp_path / "plain" / "000001.png").read_bytes()


def test_xmp_is_noted(tmp_path: Path) -> None:
    for suffix in (".jpg", ".webp"):
        write(tmp_path / f"in{suffix}", xmp=b"<x:xmpmeta/>")
        (note,) = run(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
        assert "XMP" in note


@pytest.mark.parametrize("settings", [{"icc_profile": PROFILE}, {"alpha": True}])
def test_what_a_video_of_pictures_loses_is_noted(tmp_path: Path, settings: dict[str, Any]) -> None:
    for index in range(2):
        pixels = np.dstack([RGB, RGB[..., 0]]) if settings.get("alpha") else RGB
        write(tmp_path / f"{index}.png", pixels, **settings)
    word = "transparency" if settings.get("alpha") else "profile"
    assert any(word in note for note in run(tmp_path, tmp_path / "out.mkv"))


def test_transparency_of_tiff_is_declared(tmp_path: Path) -> None:
    """OpenCV leaves the field out, so that strict readers ignore the fourth channel."""
    write(tmp_path / "in.png", np.dstack([RGB, RGB[..., 0]]))
    run(tmp_path / "in.png", tmp_path / "out.tiff")
    with Image.open(tmp_path / "out.tiff") as image:
        assert image.mode == "RGBA" and image.tag_v2[338] == (2,)  # type: ignore[attr-defined]


def test_nothing_is_added_where_there_is_nothing_to_add() -> None:
    for suffix, form in ((".jpg", "JPEG"), (".png", "PNG"), (".webp", "WEBP"), (".tiff", "TIFF")):
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, form)
        assert embed(buffer.getvalue(), suffix, PictureMetadata(), (20, 30), alpha=False) == buffer.getvalue()
