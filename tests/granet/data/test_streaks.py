"""Rain that is taken from training pairs falls on other pictures as it fell on its own."""

from pathlib import Path

import numpy as np
import pytest

from granet.data.datasets import open_dataset
from granet.data.streaks import Floats, rain_of, transplanted
from granet.errors import UserError
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from tests.granet.rain_sets import clean_directory, picture, rainier, write


def streaks(seed: int, height: int, width: int) -> Floats:
    """Whole grey levels."""
    return np.rint(render_rain(sample_rain(np.random.default_rng(seed), 0.5), height, width))


def test_rain_is_recovered_wherever_a_channel_is_not_saturated() -> None:
    clean = picture(5, 60, 80)
    clean[10:30, 10:60, 0] = 254  # one channel saturates there, the others do not
    rain = streaks(1, 60, 80)
    rainy = add_rain(clean, rain)
    assert (rainy == 255).any() and (rain > 0).mean() > 0.05
    visible = (clean.min(axis=2) + rain) <= 255
    assert visible.mean() > 0.9
    found = rain_of(rainy, clean)
    np.testing.assert_array_equal(found[visible], rain[visible])
    assert found.dtype == np.float32 and (found <= rain).all() and found.min() >= 0


def test_darker_pixels_are_not_rain() -> None:
    clean = np.full((4, 4, 3), 100, np.uint8)
    assert not rain_of(clean - 20, clean).any()


def is_part(part: Floats, whole: Floats) -> bool:
    """Whether ``part`` lies somewhere in ``whole`` or its mirror image, but for one factor."""
    for picture_ in (whole, whole[:, ::-1]):
        windows = np.lib.stride_tricks.sliding_window_view(picture_, part.shape)
        for window in windows.reshape(-1, *part.shape):
            weight = float((window * window).sum())
            factor = float((part * window).sum()) / weight if weight else 0.0
            if 0.3 <= factor <= 1.2 and np.allclose(part, factor * window, atol=1e-3):
                return True
    return False


def test_a_transplant_is_a_part_of_the_rain_of_a_pair() -> None:
    pairs = [(add_rain(picture(i), streaks(i, 40, 56)), picture(i)) for i in range(3)]
    rains = [rain_of(*pair) for pair in pairs]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        found = transplanted(pairs.__getitem__, 3, rng, 30, 40)
        again = transplanted(pairs.__getitem__, 3, np.random.default_rng(seed), 30, 40)
        np.testing.assert_array_equal(found, again)
        assert found.shape == (30, 40) and found.dtype == np.float32
        assert not found.any() or any(is_part(found, rain) for rain in rains)


def test_rain_of_a_smaller_pair_is_reflected() -> None:
    pair = rainier(picture(0, 20, 25)), picture(0, 20, 25)
    found = transplanted(lambda index: pair, 1, np.random.default_rng(2), 50, 60)
    assert found.shape == (50, 60)
    # The pair is at the top left; after padding, its rain has exactly the requested size.
    np.testing.assert_array_equal(found[20:30], found[18:8:-1])
    np.testing.assert_array_equal(found[:, 25:35], found[:, 23:13:-1])
    assert found.any()


def rain_pairs(root: Path) -> str:
    for i in range(3):
        write(root / "rainy" / f"{i}.png", rainier(picture(40 + i)))
        write(root / "clean" / f"{i}.png", picture(40 + i))
    return f"pairs:{root / 'rainy'},{root / 'clean'}"


def test_a_spec_puts_the_streaks_of_one_set_on_the_pictures_of_another(tmp_path: Path) -> None:
    clean, pairs = clean_directory(tmp_path / "clean"), rain_pairs(tmp_path / "pairs")
    dataset = open_dataset(f"synthetic:{clean}?split=all&streaks={pairs}", "train")
    assert len(dataset) == 6 and dataset.title == "transplanted rain on clean"
    for draw in range(5):
        pair = dataset.read(2, draw)
        np.testing.assert_array_equal(pair.clean, picture(2))
        added = pair.rainy.astype(int) - pair.clean
        levels = set(np.unique(added[:, added.any(axis=(0, 2))]))
        assert len(levels) == 1 and 15 <= levels.pop() <= 60  # 50 levels, times 0.3 to 1.2


def test_wrong_specs_of_streaks_are_refused(tmp_path: Path) -> None:
    clean = clean_directory(tmp_path / "clean")
    for query, reason in (
        ("streaks=rain100h:nowhere", "nowhere: there is no such directory"),
        ("streaks=nothing", "is not a data set"),
        ("streaks=drawn:2&heaviness=0.2", "give one of them"),
    ):
        with pytest.raises(UserError, match=reason) as caught:
            open_dataset(f"synthetic:{clean}?{query}", "train")
        assert "\n" not in str(caught.value)


def test_the_clean_half_of_pairs_side_by_side_gets_rain(tmp_path: Path) -> None:
    for i in range(3):  # Rain800: clean on the left
        write(tmp_path / f"{i}.jpg.png", np.hstack([picture(i), rainier(picture(i))]))
    dataset = open_dataset(f"synthetic:rain800:{tmp_path}?split=all", "train")
    assert len(dataset) == 3
    for index in range(3):
        seed = int(dataset.names[index].split(".")[0])
        pair = dataset.read(index, draw=1)
        np.testing.assert_array_equal(pair.clean, picture(seed))
        assert (pair.rainy >= pair.clean).all() and (pair.rainy != pair.clean).any()
