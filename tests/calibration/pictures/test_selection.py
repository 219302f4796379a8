"""The selection of calibration pictures: enough, rainy, and varied in rain and brightness."""

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest

from calibration.pictures.selection import (
    Candidate,
    check_rain,
    choose,
    fitted,
    measure,
    pixels_sha256,
)
from calibration.pictures.sets import DirectoryPictures
from calibration.table import CalibrationImage
from granet.app.progress import no_progress
from granet.errors import UserError
from tests.media import write_picture


def candidate(number: int, rain: float, brightness: float = 100.0) -> Candidate:
    return Candidate(number, CalibrationImage(f"{number}.png", "00", (16, 16), rain), brightness)


def many(count: int, seed: int = 0) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return [candidate(i, 0.1 + float(rng.exponential()), float(rng.uniform(20, 220))) for i in range(count)]


def messages_of(candidates: list[Candidate], *, force: bool) -> list[str]:
    notes: list[str] = []
    check_rain(candidates, "images rain", remedy="add rain", force=force, say=notes.append)
    return notes


def test_as_many_as_asked_for_are_chosen_whatever_the_numbers() -> None:
    for total in (1, 7, 23, 64, 100):
        for count in (1, 2, 5, 22, 63, 64, 99):
            chosen = choose(many(total), count)
            assert len({c.number for c in chosen}) == len(chosen) == min(total, count)


def test_the_choice_spans_rain_and_brightness() -> None:
    candidates = many(700)
    chosen = choose(candidates, 64)
    rain = [c.image.rain for c in candidates]
    light = [c.image.rain for c in chosen if c.image.rain < np.quantile(rain, 1 / 8)]
    heavy = [c.image.rain for c in chosen if c.image.rain > np.quantile(rain, 7 / 8)]
    assert len(light) == len(heavy) == 8
    for share in (light, heavy):  # dark and bright ones among the light rain, and among the heavy
        brightness = [c.brightness for c in chosen if c.image.rain in share]
        assert min(brightness) < 30 and max(brightness) > 210
    assert [c.number for c in chosen] == sorted(c.number for c in chosen)


def test_the_choice_does_not_depend_on_the_order_that_pictures_are_found_in() -> None:
    candidates = many(300)
    shuffled = random.Random(1).sample(candidates, 300)
    assert choose(candidates, 50) == choose(shuffled, 50)


def test_dry_pictures_are_left_out_while_there_are_rainy_ones() -> None:
    mixed = [candidate(i, 0.0) for i in range(100)] + [candidate(100 + i, 0.5) for i in range(60)]
    assert all(c.number >= 100 for c in choose(mixed, 50))
    assert sum(c.number >= 100 for c in choose(mixed, 80)) == 60


def test_too_few_pictures_are_refused_with_their_number() -> None:
    with pytest.raises(UserError, match=r"images rain: 127 pictures, but at least 128 are needed: add rain$"):
        messages_of(many(127), force=False)
    assert messages_of(many(128), force=False) == []
    (note,) = messages_of(many(3), force=True)
    assert "3 pictures" in note and "used anyway" in note


def test_dry_pictures_are_refused_with_their_number() -> None:
    dry = [candidate(i, 0.01) for i in range(150)]
    wet = [candidate(200 + i, 0.5) for i in range(50)]
    with pytest.raises(UserError, match="150 of 200 pictures look dry"):
        messages_of(dry + wet, force=False)
    assert messages_of(dry[:99] + wet, force=False) == []
    assert len(messages_of(dry, force=True)) == 1
    with pytest.raises(UserError, match="no pictures"):
        messages_of([], force=True)


def test_pictures_are_cut_in_the_middle_and_never_scaled() -> None:
    pixels = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3)
    np.testing.assert_array_equal(fitted(pixels, (4, 6)), pixels[3:7, 3:9])
    np.testing.assert_array_equal(fitted(pixels, (20, 6)), pixels[:, 3:9])
    assert fitted(pixels, None) is pixels


def test_the_hash_is_of_the_pixels_row_by_row() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    expected = hashlib.sha256(bytes(int(value) for value in pixels[:, 1:5].ravel())).hexdigest()
    assert pixels_sha256(pixels[:, 1:5]) == expected


def test_the_size_of_the_model_does_not_decide_what_is_dry(tmp_path: Path) -> None:
    # Streaks at the border only: in the middle, which is all that a small model sees, it is dry.
    picture = np.full((320, 480, 3), 60, np.uint8)
    picture[:, ::12] = 200
    picture[110:210, 160:320] = 60
    write_picture(tmp_path / "a.png", picture)
    found = [
        measure(DirectoryPictures(str(tmp_path), print), size, no_progress)[0]
        for size in (None, (320, 480), (60, 80))
    ]
    assert len({each.image.rain for each in found}) == 1
    assert not any(each.is_dry for each in found)
