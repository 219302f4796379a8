"""One list says what a picture is: what is found as input can be a data set, and the other way round."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from granet.data.image_files import list_pictures, read_rgb
from granet.data.image_items import item_orientation
from granet.errors import UserError
from runtime.sources.base import Picture
from runtime.sources.pictures.source import PictureSource


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpe", ".bmp", ".dib", ".tiff", ".webp", ".pgm", ".ppm"])
def test_a_directory_of_input_is_a_data_set_too(tmp_path: Path, suffix: str) -> None:
    picture = np.full((24, 32, 3), 90, np.uint8)
    data = picture[..., 0] if suffix == ".pgm" else picture
    (tmp_path / f"a{suffix}").write_bytes(cv2.imencode(suffix.lower(), data)[1].tobytes())
    (tmp_path / f"._a{suffix}").write_bytes(b"left by macOS")
    (tmp_path / "readme.txt").write_text("not a picture")
    (path,) = list_pictures(tmp_path)
    assert np.array_equal(read_rgb(path), picture)
    with PictureSource(str(tmp_path), lambda message: None) as source:
        assert source.info.names == (f"a{suffix}",)
        assert np.array_equal(next(iter(source.frames("rgb"))).pixels, picture)


def test_where_there_is_none_the_endings_are_named(tmp_path: Path) -> None:
    endings = r".avif .bmp .dib .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp"
    for find in (list_pictures, lambda path: PictureSource(str(path), lambda message: None)):
        with pytest.raises(UserError) as caught:
            find(tmp_path)
        assert str(caught.value) == f"{tmp_path}: no pictures in this directory ({endings})"


TURNS = [
    np.asarray, np.fliplr, lambda p: np.rot90(p, 2), np.flipud,
    lambda p: p.swapaxes(0, 1), lambda p: np.rot90(p, -1), lambda p: np.rot90(p, 2).swapaxes(0, 1), np.rot90,
]  # fmt: skip
"""The effect of each EXIF orientation, from 1, on the pixels."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".avif", ".tiff", ".jpg", ".webp"])
def test_pictures_are_turned_upright_everywhere(tmp_path: Path, orientation: int, suffix: str) -> None:
    """AVIF says it with properties (Pillow writes them for an EXIF orientation), the others with a tag."""
    blocks = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(blocks).save(path, quality=100, exif=exif)
    expected = TURNS[orientation - 1](blocks)[8::16, 8::16].astype(int)
    (picture,) = PictureSource(str(path), lambda message: None).frames("rgb")
    assert isinstance(picture, Picture)
    for pixels in (read_rgb(path), picture.pixels):
        assert pixels.shape == TURNS[orientation - 1](blocks).shape
        assert np.abs(pixels[8::16, 8::16].astype(int) - expected).max() <= 12


@pytest.mark.parametrize(
    ("properties", "orientation"),
    [
        (b"", 1), (b"\0\0\0\x09irot\1", 8), (b"\0\0\0\x09irot\3\0\0\0\x09imir\1", 5),
        (b"\0\0\0\x09irot\2\0\0\0\x09imir\0", 2), (b"\0\0\0\x09irot\1\0\0\0\x09imir\1", 7),
    ],
)  # fmt: skip
def test_a_mirror_comes_after_the_turn(properties: bytes, orientation: int) -> None:
    """ISO/IEC 23008-12, 6.5.10 and 6.5.12; Pillow writes only some of the combinations."""
    associated = bytes(range(1, 1 + properties.count(b"\0\0\0\x09")))
    ipma = b"ipma" + bytes(4) + b"\0\0\0\1\0\1" + bytes([len(associated)]) + associated
    iprp = b"iprp" + _box(b"ipco" + properties) + _box(ipma)
    meta = b"meta" + bytes(4) + _box(b"pitm" + bytes(4) + b"\0\1") + _box(iprp)
    assert item_orientation(_box(b"ftypavif" + bytes(4) + b"mif1") + _box(meta)) == orientation


def _box(content: bytes) -> bytes:
    return (len(content) + 4).to_bytes(4, "big") + content


@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
@pytest.mark.parametrize("maximum", [15, 255, 1023, 4095, 65535])
def test_values_of_a_pnm_have_the_full_range(tmp_path: Path, kind: bytes, maximum: int) -> None:
    """Cameras with 10 and 12 bits write such files; they were read almost black."""
    levels = np.linspace(0, maximum, 16).round().astype(np.int64)
    values = np.repeat(levels, 3 if kind in (b"P3", b"P6") else 1)
    if kind in (b"P2", b"P3"):
        content = b" ".join(b"%d" % value for value in values) + b"\n"
    else:
        content = values.astype(">u2" if maximum > 255 else "u1").tobytes()
    path = tmp_path / "a.ppm"
    path.write_bytes(kind + b"\n16 1 # a comment\n%d\n" % maximum + content)
    found = read_rgb(path)[0, :, 0]
    np.testing.assert_allclose(found, levels * (255 / maximum), atol=1)
    assert found[0] == 0 and found[-1] == 255
