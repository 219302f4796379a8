from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from granet.errors import UserError
from runtime.sources.base import Picture
from runtime.sources.open import open_source
from runtime.sources.pictures.source import PictureSource
from tests.media import make_clip, numbered, with_exif_orientation, write_picture


def read_one(path: Path, colour: str = "bgr") -> tuple[Picture, list[str]]:
    said: list[str] = []
    (picture,) = PictureSource(str(path), said.append).frames(colour)  # type: ignore[arg-type]
    assert isinstance(picture, Picture)
    return picture, said


def test_a_directory_gives_its_pictures_in_natural_order_and_ignores_other_files(tmp_path: Path) -> None:
    for i, name in enumerate(["a10.png", "a2.PNG", "a1.jpg", "b.bmp"]):
        write_picture(tmp_path / name.lower(), numbered(i)).rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("rain")
    (tmp_path / "._a1.jpg").write_bytes(b"junk of a Mac")
    (tmp_path / "sub.png").mkdir()
    source = open_source(str(tmp_path), print)
    names = ["a1.jpg", "a2.PNG", "a10.png", "b.bmp"]
    assert list(source.info.names) == names
    assert [frame.name for frame in source.frames("bgr")] == names
    assert source.info.frames == 4


def test_a_pattern_keeps_the_directories_below_its_root(tmp_path: Path) -> None:
    for name in ("x/1.png", "y/1.png", "y/2.jpg"):
        write_picture(tmp_path / name, numbered(0))
    source = open_source(str(tmp_path / "*" / "*.png"), print)
    assert source.info.names == ("x/1.png", "y/1.png")
    assert open_source(str(tmp_path / "**" / "*"), print).info.names == ("x/1.png", "y/1.png", "y/2.jpg")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "rain[1].png", numbered(0))
    assert open_source(str(path), print).info.names == ("rain[1].png",)


@pytest.mark.parametrize("text", ["", "*.png"])
def test_no_pictures_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.txt").write_text("rain")
    with pytest.raises(UserError, match="no pictures"):
        open_source(str(tmp_path / text), print)


def test_pixels_have_the_requested_colour_order(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "blue.png", np.full((20, 30, 3), (255, 10, 0), np.uint8))
    assert read_one(path, "bgr")[0].pixels[0, 0].tolist() == [255, 10, 0]
    assert read_one(path, "rgb")[0].pixels[0, 0].tolist() == [0, 10, 255]


def test_one_channel_becomes_three_and_is_remembered(tmp_path: Path) -> None:
    gray = np.arange(600, dtype=np.uint8).reshape(20, 30)
    picture, said = read_one(write_picture(tmp_path / "g.png", gray))
    assert picture.gray and picture.alpha is None and not said
    assert np.array_equal(picture.pixels, np.repeat(gray[..., None], 3, 2))


def test_transparency_is_set_aside(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    picture, _ = read_one(write_picture(tmp_path / "a.png", pixels), "rgb")
    assert picture.alpha is not None and np.array_equal(picture.alpha, pixels[..., 3])
    assert np.array_equal(picture.pixels, pixels[..., 2::-1])


def test_sixteen_bits_are_rounded_to_eight_and_that_is_said(tmp_path: Path) -> None:
    values = np.array([0, 128, 129, 257, 32896, 65535], np.uint16)
    pixels = np.repeat(np.repeat(values[None, :, None], 3, 2), 16, 0)
    picture, said = read_one(write_picture(tmp_path / "deep.png", pixels))
    assert picture.pixels[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert len(said) == 1 and "16-bit" in said[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_opencv_applies_it(tmp_path: Path, orientation: int) -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[:8, :16], image[24:, :8] = (0, 0, 255), (0, 255, 0)
    path = tmp_path / "phone.jpg"
    plain = cv2.imencode(".jpg", image)[1].tobytes()
    path.write_bytes(with_exif_orientation(plain, orientation))
    expected = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(read_one(path)[0].pixels, expected)
    if orientation == 6:
        assert expected.shape == (48, 32, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_of_a_transparent_png(tmp_path: Path, orientation: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 24, 4), np.uint8)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    ifd = b"\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0]) + bytes(4)
    block = b"MM\x00\x2a\x00\x00\x00\x08" + ifd
    chunk = len(block).to_bytes(4, "big") + b"eXIf" + block
    import zlib

    chunk += zlib.crc32(chunk[4:]).to_bytes(4, "big")
    path = tmp_path / "sticker.png"
    path.write_bytes(data[:33] + chunk + data[33:])
    turned = {1: pixels, 3: pixels[::-1, ::-1], 6: np.rot90(pixels, -1), 8: np.rot90(pixels)}[orientation]
    picture, _ = read_one(path)
    assert np.array_equal(picture.pixels, turned[..., :3])
    assert picture.alpha is not None and np.array_equal(picture.alpha, turned[..., 3])


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_webp(tmp_path: Path, orientation: int, channels: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 24, len(channels)), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "phone.webp"
    Image.fromarray(pixels).save(path, lossless=True, exact=True, exif=exif)
    turned = [
        pixels, pixels[:, ::-1], pixels[::-1, ::-1], pixels[::-1], pixels.swapaxes(0, 1),
        np.rot90(pixels, -1), pixels[::-1, ::-1].swapaxes(0, 1), np.rot90(pixels),
    ][orientation - 1]  # fmt: skip
    picture, _ = read_one(path, "rgb")
    assert np.array_equal(picture.pixels, turned[..., :3])
    if channels == "RGBA":
        assert picture.alpha is not None and np.array_equal(picture.alpha, turned[..., 3])


def test_a_broken_picture_in_the_middle_is_left_out_and_named(tmp_path: Path) -> None:
    for i in range(3):
        write_picture(tmp_path / f"{i}.png", numbered(i))
    (tmp_path / "1.png").write_bytes(b"no picture")
    said: list[str] = []
    source = PictureSource(str(tmp_path), said.append)
    assert [(frame.index, frame.name) for frame in source.frames("bgr")] == [(0, "0.png"), (2, "2.png")]
    assert said == [f"left out: {tmp_path}/1.png: is damaged, or not a picture that can be decoded"]
    with pytest.raises(UserError, match=r"1 of 3 pictures cannot be processed: 1\.png"):
        source.require_whole()
    frames = PictureSource(str(tmp_path), print, strict=True).frames("bgr")
    next(frames)
    with pytest.raises(UserError, match=r"1\.png: is damaged"):
        next(frames)


def test_a_broken_link_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "0.png", numbered(0))
    (tmp_path / "1.png").symlink_to("gone.png")
    source = PictureSource(str(tmp_path), lambda message: None)
    assert [frame.name for frame in source.frames("bgr")] == ["0.png"] and source.left_out == ["1.png"]


def test_only_broken_pictures_are_an_error_at_once(tmp_path: Path) -> None:
    for i in range(7):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"7 of 7 pictures cannot be processed: 0\.png, .*4\.png and 2 more"):
        list(PictureSource(str(tmp_path), print).frames("bgr"))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_that_lacks_its_end_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = write_picture(tmp_path / f"half{suffix}", noise)
    data = path.read_bytes()
    # A thumbnail has its own end-of-image marker before the missing part.
    data = data[: len(data) * 2 // 3]
    path.write_bytes(data[:2] + b"\xff\xe0\x00\x06ab\xff\xd9" + data[2:] if suffix == ".jpg" else data)
    with pytest.raises(UserError, match="is truncated"):
        read_one(path)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "empty"), (b"hello", "damaged"), (b"\xff\xd8\xff", "truncated")]
)
def test_invalid_pictures_are_refused_with_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        read_one(path)
    assert "\n" not in str(error.value)


def test_float_pictures_are_refused(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "hdr.tif", np.ones((20, 20, 3), np.float32))
    with pytest.raises(UserError, match="float32"):
        read_one(path)


def test_the_ending_decides_between_picture_and_video(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", numbered(0))
    make_clip(tmp_path / "a.mp4", count=2)
    assert open_source(str(tmp_path / "a.png"), print).info.kind == "pictures"
    with open_source(str(tmp_path / "a.mp4"), print) as video:
        assert video.info.kind == "video"
