"""Sets of rain pictures: each can be read repeatedly and partly, with stable numbers and names."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.pictures.sets import (
    DatasetPictures,
    DirectoryPictures,
    PictureSet,
    SynthesisedPictures,
    VideoPictures,
)
from granet.data.datasets import open_dataset
from granet.errors import UserError
from tests.calibration.rain_pictures import picture, write_pictures
from tests.media import make_clip


def quiet(message: str) -> None:
    raise AssertionError(message)


def listed(pictures: PictureSet, wanted: set[int] | None = None) -> list[tuple[int, str, bytes]]:
    return [(number, name, pixels.tobytes()) for number, name, pixels in pictures.read(wanted)]


def test_a_directory_is_read_in_natural_order_as_rgb(tmp_path: Path) -> None:
    pictures = DirectoryPictures(str(write_pictures(tmp_path / "rain", rainy=11)), quiet)
    everything = listed(pictures)
    assert [name for _, name, _ in everything] == [f"p{i}.png" for i in range(11)]
    assert everything[3][2] == picture(3, 0.4 + 0.6 * 3 / 11)[:, :, ::-1].tobytes()
    assert listed(pictures, {3, 9}) == [everything[3], everything[9]]
    assert (pictures.source, pictures.total) == ("images rain", 11)


def test_frames_of_a_video_are_spread_over_its_length(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "rain.mkv", 40)
    pictures = VideoPictures(str(path), 5, quiet)
    names = [name for _, name, _ in listed(pictures)]
    assert names == [f"rain.mkv#{i}" for i in range(0, 40, 4)]
    assert listed(pictures, {2, 7}) == [listed(pictures)[i] for i in (2, 7)]
    assert pictures.total == 10


def test_the_rainy_pictures_of_a_data_set_are_used(tmp_path: Path) -> None:
    clean, rainy = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), (10, 20, 30), np.uint8)
    cv2.imwrite(str(tmp_path / "1.png"), np.hstack([clean, rainy]))
    ((number, _, pixels),) = DatasetPictures(open_dataset(f"rain800:{tmp_path}", "train")).read()
    assert number == 0
    np.testing.assert_array_equal(pixels[..., ::-1], rainy)


def test_rain_on_clean_pictures_follows_the_seed(tmp_path: Path) -> None:
    directory = str(write_pictures(tmp_path / "clean", rainy=0, dry=3))
    first = listed(SynthesisedPictures(directory, 5, seed=0))
    assert first == listed(SynthesisedPictures(directory, 5, seed=0))
    assert len({pixels for _, _, pixels in first}) == 6  # two rains on each
    other = listed(SynthesisedPictures(directory, 5, seed=1))
    assert not {pixels for _, _, pixels in first} & {pixels for _, _, pixels in other}


def test_few_clean_pictures_have_a_limited_number_of_versions(tmp_path: Path) -> None:
    directory = str(write_pictures(tmp_path / "clean", rainy=0, dry=2))
    assert SynthesisedPictures(directory, 256, seed=0).total == 8


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0 truncated"])
def test_a_picture_of_the_wrong_kind_is_one_line_with_its_name(content: bytes, tmp_path: Path) -> None:
    write_pictures(tmp_path / "rain", rainy=2)
    (tmp_path / "rain" / "p1.png").write_bytes(content)
    with pytest.raises(UserError, match=r"p1\.png: ") as caught:
        listed(DirectoryPictures(str(tmp_path / "rain"), quiet))
    assert "\n" not in str(caught.value)


def test_a_picture_of_floats_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "hdr.tiff"), np.zeros((20, 20, 3), np.float32))
    with pytest.raises(UserError, match=r"hdr\.tiff: has float32 values"):
        listed(DirectoryPictures(str(tmp_path), quiet))


@pytest.mark.parametrize(
    ("name", "says"),
    [("no.mp4", "no such file"), ("words.mp4", "not a supported video or picture"), ("-", "read twice")],
)
def test_a_file_that_is_not_a_video_is_one_line(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.mp4").write_text("a video, honestly")
    with pytest.raises(UserError, match=says):
        VideoPictures(name, 5, quiet)
