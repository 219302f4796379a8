"""Training samples: each picture in its turn, cut and flipped alike on both sides, the same by number."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from granet.data.datasets import open_dataset
from granet.training.samples import Cutting, TrainingData
from tests.granet.rain_sets import HEIGHT, WIDTH, clean_directory, pairs_directory, picture, rainier, write


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    return pairs_directory(tmp_path / "pairs", count=7)


def data(*specs: str, seed: int = 3, weights: list[float] | None = None, epoch_size: int | None = None,
         **cutting: Any) -> TrainingData:  # fmt: skip
    datasets = [open_dataset(spec, "train") for spec in specs]
    return TrainingData(datasets, weights, seed, Cutting(**cutting), epoch_size)


def names(samples: TrainingData, numbers: range) -> list[str]:
    return [samples.sample(number).name for number in numbers]


def test_an_epoch_is_every_picture_once_in_an_order_of_its_own(pairs: str) -> None:
    samples = data(pairs)
    assert samples.epoch_size == 7
    epochs = [names(samples, range(7 * epoch, 7 * epoch + 7)) for epoch in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == [str(i) for i in range(7)]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert names(data(pairs, seed=4), range(28)) != [name for epoch in epochs for name in epoch]


def test_mixed_sets_have_their_shares_of_every_epoch_and_all_their_pictures_come_in_turn(
    pairs: str, tmp_path: Path
) -> None:
    for i in range(50, 53):
        write(tmp_path / "few" / f"{i}.png", picture(i))
    samples = data(pairs, f"clean:{tmp_path / 'few'}", weights=[3, 1], epoch_size=8)
    for epoch in range(4):
        found = names(samples, range(8 * epoch, 8 * epoch + 8))
        assert sum(int(name) < 50 for name in found) == 6
    # 4 epochs take 24 of the seven pictures and 8 of the three: none is ahead by more than one.
    counts = Counter(names(samples, range(32)))
    assert {counts[str(i)] for i in range(7)} <= {3, 4} and {counts[str(i)] for i in range(50, 53)} <= {2, 3}


def test_a_set_whose_share_is_less_than_a_sample_is_told(pairs: str, tmp_path: Path) -> None:
    write(tmp_path / "few" / "50.png", picture(50))
    few = f"clean:{tmp_path / 'few'}"
    assert [each.title for each in data(pairs, few, weights=[97, 3], epoch_size=10).unused] == [
        "clean pictures of few"
    ]
    assert data(pairs, few, weights=[97, 3], epoch_size=20).unused == []


def test_whole_pictures_are_flipped_half_of_the_time_on_both_sides(pairs: str) -> None:
    samples = data(pairs)
    flipped = 0
    for number in range(60):
        pair = samples.sample(number)
        seed = int(pair.name)
        clean, rainy = picture(seed), rainier(picture(seed))
        if (pair.clean != clean).any():
            flipped += 1
            clean, rainy = clean[:, ::-1], rainy[:, ::-1]
        np.testing.assert_array_equal(pair.clean, clean)
        np.testing.assert_array_equal(pair.rainy, rainy)
    assert 15 < flipped < 45


def test_crops_are_of_one_place_on_both_sides_and_reach_every_edge(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
    where = np.stack([rows, columns, np.zeros_like(rows)], axis=2)  # a picture that is its own map
    write(tmp_path / "clean" / "0.png", where)
    write(tmp_path / "rainy" / "0.png", where + np.uint8(100))
    samples = data(f"pairs:{tmp_path / 'rainy'},{tmp_path / 'clean'}", crop=(20,))
    tops, lefts, mirrored = set(), set(), 0
    for number in range(300):
        pair = samples.sample(number)
        np.testing.assert_array_equal(pair.rainy, pair.clean + np.uint8(100))
        flipped = pair.clean[0, 0, 1] > pair.clean[0, -1, 1]
        crop = pair.clean[:, ::-1] if flipped else pair.clean
        top, left = crop[0, 0, :2].astype(int)
        np.testing.assert_array_equal(crop, where[top : top + 20, left : left + 20])
        tops.add(top)
        lefts.add(left)
        mirrored += flipped
    assert tops == set(range(HEIGHT - 20 + 1)) and lefts == set(range(WIDTH - 20 + 1))
    assert 100 < mirrored < 200


def test_a_picture_smaller_than_the_crop_is_reflected(pairs: str) -> None:
    pair = data(pairs, crop=(64,)).sample(0)
    assert pair.clean.shape == (64, 64, 3)
    np.testing.assert_array_equal(pair.clean[HEIGHT], pair.clean[HEIGHT - 2])


def test_long_pictures_are_shrunk_and_others_left(tmp_path: Path) -> None:
    write(tmp_path / "0.png", picture(0, 40, 130))
    pair = data(f"clean:{tmp_path}", long_side=65).sample(0)
    assert pair.clean.shape == (20, 65, 3)
    # Halved by areas: every pixel is the mean of four, up to rounding.
    means = picture(0, 40, 130).reshape(20, 2, 65, 2, 3).mean(axis=(1, 3))
    error = min(np.abs(pair.clean - means).max(), np.abs(pair.clean[:, ::-1] - means).max())
    assert error <= 0.5
    assert data(f"clean:{tmp_path}").sample(0).clean.shape == (40, 130, 3)  # section 4.3: 512 pixels


def test_the_share_of_dry_samples(pairs: str) -> None:
    samples = data(pairs, dry=0.25)
    dry = sum(bool((pair.rainy == pair.clean).all()) for pair in map(samples.sample, range(200)))
    assert 30 < dry < 75


def test_synthetic_rain_never_falls_twice(tmp_path: Path) -> None:
    samples = data(f"synthetic:{clean_directory(tmp_path, 2)}?split=all", crop=(32,))
    rains = {(pair.rainy.astype(int) - pair.clean).tobytes() for pair in map(samples.sample, range(40))}
    assert len(rains) > 36  # light rain may miss a small crop


@pytest.mark.parametrize("size", [1, 2, 3])
def test_samples_are_the_same_in_batches_of_any_size_asked_for_in_any_order(size: int, pairs: str) -> None:
    one_by_one = [data(pairs, crop=(16,)).sample(number) for number in range(6)]
    samples = data(pairs, crop=(16,))
    for first in reversed(range(0, 6, size)):
        rainy, clean = samples.batch(first, size)
        for i in range(size):
            np.testing.assert_array_equal(rainy[i], one_by_one[first + i].rainy)
            np.testing.assert_array_equal(clean[i], one_by_one[first + i].clean)
