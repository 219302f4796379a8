"""One list says what a picture is: what is found as input can be a data set, and the other way round."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.data.image_files import list_pictures, read_rgb
from granet.errors import UserError
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
