"""Data sets: every layout is read as its authors mean it, and a wrong one is named, not guessed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from granet.data.datasets import Pair, open_dataset
from granet.data.image_files import Pixels
from granet.errors import UserError
from tests.granet.rain_sets import SHARED, clean_directory, pairs_directory, picture, rainier, write
from tests.patience import PATIENCE


def refused(spec: str, split: str = "train") -> str:
    with pytest.raises(UserError) as caught:
        dataset = open_dataset(spec, split)  # type: ignore[arg-type]
        for index in range(len(dataset)):
            dataset.read(index)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def assert_pair(pair: Pair, seed: int) -> None:
    """Checks that the pair is the one of ``seed``, with the right sides and colours."""
    assert pair.clean.dtype == pair.rainy.dtype == np.uint8
    np.testing.assert_array_equal(pair.clean, picture(seed))
    np.testing.assert_array_equal(pair.rainy, rainier(picture(seed)))


# --- Rain100L and Rain100H -------------------------------------------------------------------------

RAIN100: dict[str, tuple[str, str]] = {
    "first release, one directory": ("rain-{0}.png", "norain-{0}.png"),
    "first release, PReNet's": ("rainy/rain-{0:03d}.png", "norain-{0:03d}.png"),
    "this project's": ("rainy/rain-{0:03d}.png", "clean/norain-{0:03d}.png"),
    "second release": ("rain/X2/norain-{0}x2.png", "norain/norain-{0}.png"),
    "the same names": ("rain/{0}.png", "norain/{0}.png"),
    "Restormer's": ("input/{0}.png", "target/{0}.png"),
}


@pytest.mark.parametrize("layout", RAIN100)
@pytest.mark.parametrize("kind", ["rain100l", "rain100h"])
def test_rain100_in_every_release(kind: str, layout: str, tmp_path: Path) -> None:
    rainy, clean = RAIN100[layout]
    for number in (1, 2, 10):
        write(tmp_path / rainy.format(number), rainier(picture(number)))
        write(tmp_path / clean.format(number), picture(number))
        write(tmp_path / f"rainstreak-{number}.png", picture(99))  # of RainTrainL and RainTrainH
        write(tmp_path / f"rainregion-{number}.png", picture(99))
    dataset = open_dataset(f"{kind}:{tmp_path}", "test")
    assert dataset.title == {"rain100l": "Rain100L", "rain100h": "Rain100H"}[kind]
    assert len(dataset) == len(dataset.names) == 3
    for index, number in enumerate((1, 2, 10)):
        assert str(number) in dataset.names[index]
        assert_pair(dataset.read(index), number)


@pytest.mark.parametrize(
    ("split", "folder"), [("train", "RainTrainL"), ("test", "Rain100L"), ("train", "rain_data_train_Light")]
)
def test_rain100_takes_the_directory_of_its_split(split: str, folder: str, tmp_path: Path) -> None:
    write(tmp_path / folder / "rain-1.png", rainier(picture(1)))
    write(tmp_path / folder / "norain-1.png", picture(1))
    assert_pair(open_dataset(f"rain100l:{tmp_path}", split).read(0), 1)  # type: ignore[arg-type]
    other = "test" if split == "train" else "train"
    message = refused(f"rain100l:{tmp_path}", other)
    assert f"the {other} split is empty" in message and folder in message


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_rain100_as_it_is_shared() -> None:
    light, heavy = (
        open_dataset(f"{kind}:{SHARED / folder}", split)  # type: ignore[arg-type]
        for kind, folder, split in (
            ("rain100l", "rain100l-test", "test"),
            ("rain100h", "rain100h-train", "train"),
        )
    )
    assert (len(light), light.names[0], light.names[-1]) == (100, "rain-001", "rain-100")
    assert (len(heavy), heavy.names[0]) == (12, "rain-2")
    # Measured on both sets: rainy = min(255, clean + S), S >= 0, the same in the three channels.
    for pair in (light.read(7), light.read(99), heavy.read(3)):
        streaks = pair.rainy.astype(int) - pair.clean
        assert streaks.min() >= 0 and streaks.max() > 20
        free = (pair.rainy < 255).all(axis=2)
        assert (np.ptp(streaks[free], axis=1) == 0).all()


def test_pictures_without_a_partner_are_named(tmp_path: Path) -> None:
    write(tmp_path / "rain-1.png", picture(1))
    write(tmp_path / "norain-1.png", picture(1))
    write(tmp_path / "rain-2.png", picture(2))
    message = refused(f"rain100l:{tmp_path}")
    assert (
        "2 rainy and 1 clean pictures do not match" in message
        and "rain-2.png has no clean picture" in message
    )


@pytest.mark.parametrize("kind", ["rain100l", "rain100h", "ddn"])
def test_a_layout_of_something_else_says_what_was_expected(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "sunset.png", picture(1))
    message = refused(f"{kind}:{tmp_path}")
    assert "expected" in message and "found 0 rainy and 0 clean pictures" in message


# --- DDN -------------------------------------------------------------------------------------------


def ddn(root: Path, scene: int, rains: int = 14) -> None:
    write(root / "ground_truth" / f"{scene}.jpg", picture(scene))
    for rain in range(1, rains + 1):
        write(root / "rainy_image" / f"{scene}_{rain}.jpg", picture(scene))


def test_ddn_is_split_into_650_scenes_and_the_others_whatever_its_directories(tmp_path: Path) -> None:
    ddn(tmp_path / "training", 1)
    ddn(tmp_path / "training", 650)
    ddn(tmp_path / "training", 651)
    ddn(tmp_path / "testing", 1000)
    train, test = (open_dataset(f"ddn:{tmp_path}", split) for split in ("train", "test"))  # type: ignore[arg-type]
    # Fu et al.: 14 rains a clean picture, so 650 of 1,000 are the 9,100 and 350 the 4,900 of section 4.1.
    assert 650 * len(train) // 2 == 9100 and 350 * len(test) // 2 == 4900
    assert train.names == tuple(f"{scene}_{rain}" for scene in (1, 650) for rain in range(1, 15))
    assert test.names == tuple(f"{scene}_{rain}" for scene in (651, 1000) for rain in range(1, 15))
    assert abs(train.read(14).clean.astype(int) - picture(650)).mean() < 5  # JPEG


def test_ddn_that_lacks_a_split_or_a_clean_picture(tmp_path: Path) -> None:
    ddn(tmp_path, 700, rains=1)
    assert "the train split is empty: expected scenes 1 to 650" in refused(f"ddn:{tmp_path}", "train")
    (tmp_path / "ground_truth" / "700.jpg").rename(tmp_path / "ground_truth" / "701.jpg")
    assert "700_1.jpg: has no clean picture 700.jpg" in refused(f"ddn:{tmp_path}", "test")
    write(tmp_path / "rainy_image" / "600-1.jpg", picture(0))
    assert "expected a name such as 1_14.jpg" in refused(f"ddn:{tmp_path}", "test")


# --- side by side ----------------------------------------------------------------------------------


def test_did_has_rain_on_the_left_and_heaviness_in_its_directories(tmp_path: Path) -> None:
    for seed, heaviness in enumerate(("Heavy", "Light", "Medium")):
        both = np.hstack([rainier(picture(seed)), picture(seed)])
        write(tmp_path / "DID-MDN-training" / f"Rain_{heaviness}" / "train2018new" / "0.png", both)
    write(tmp_path / "DID-MDN-test" / "0.png", np.hstack([rainier(picture(9)), picture(9)]))
    train = open_dataset(f"did:{tmp_path}", "train")
    assert train.names == tuple(f"Rain_{h}/train2018new/0" for h in ("Heavy", "Light", "Medium"))
    for seed in range(3):
        assert_pair(train.read(seed), seed)
    test = open_dataset(f"did:{tmp_path}", "test")
    assert len(test) == 1
    assert_pair(test.read(0), 9)


def test_rain800_has_rain_on_the_right(tmp_path: Path) -> None:
    write(tmp_path / "training" / "1.png", np.hstack([picture(1), rainier(picture(1))]))
    write(tmp_path / "test_syn" / "2.png", np.hstack([picture(2), rainier(picture(2))]))
    write(tmp_path / "test_nature" / "3.png", picture(3))
    for split, seed in (("train", 1), ("test", 2)):
        dataset = open_dataset(f"rain800:{tmp_path}", split)  # type: ignore[arg-type]
        assert len(dataset) == 1
        assert_pair(dataset.read(0), seed)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_rain800_as_it_is_shared() -> None:
    dataset = open_dataset(f"rain800:{SHARED / 'rain800-train'}", "train")
    assert (len(dataset), dataset.title, dataset.names[:2]) == (687, "Rain800", ("1", "2"))
    brighter = [float(np.mean(pair.rainy) - np.mean(pair.clean)) for pair in map(dataset.read, range(6))]
    assert np.mean(brighter) > 3  # rain adds light


def test_one_picture_is_not_two(tmp_path: Path) -> None:
    write(tmp_path / "1.png", picture(1, width=57))
    assert "but the width of 57 pixels is odd" in refused(f"rain800:{tmp_path}")


# --- pairs -----------------------------------------------------------------------------------------


def test_pairs_by_name_or_by_number(tmp_path: Path) -> None:
    dataset = open_dataset(pairs_directory(tmp_path), "train")
    assert dataset.names == ("0", "1", "2", "3")
    for i in range(4):
        assert_pair(dataset.read(i), i)
    for i in range(4):
        (tmp_path / "rainy" / f"{i}.png").rename(tmp_path / "rainy" / f"frame_{i:04d}.png")
    dataset = open_dataset(f"pairs:{tmp_path / 'rainy'},{tmp_path / 'clean'}", "test")
    for i in range(4):
        assert_pair(dataset.read(i), i)


def test_pictures_of_different_sizes_are_named_with_both_sizes(tmp_path: Path) -> None:
    spec = pairs_directory(tmp_path, count=2)
    write(tmp_path / "clean" / "1.png", picture(1, 41, 56))
    message = refused(spec)
    assert "1.png has 56x40 pixels" in message and "56x41" in message and "same size" in message


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is an empty file"),
    "no picture": (lambda path: path.write_bytes(b"no picture at all"), "is damaged, or not a picture"),
    "truncated": (truncated, "is truncated"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_unreadable_pictures_are_named(how: str, tmp_path: Path) -> None:
    spec = pairs_directory(tmp_path, count=1)
    make, reason = BROKEN[how]
    make(tmp_path / "clean" / "0.png")
    message = refused(spec)
    assert reason in message and str(tmp_path / "clean" / "0.png") in message


def test_a_jpeg_that_is_truncated(tmp_path: Path) -> None:
    path = write(tmp_path / "0.jpg", picture(0))
    path.write_bytes(path.read_bytes()[:-40])
    assert "is truncated" in refused(f"clean:{tmp_path}")


# --- synthetic -------------------------------------------------------------------------------------


def test_synthetic_rain_is_the_same_for_the_same_draw_and_another_for_another(tmp_path: Path) -> None:
    dataset = open_dataset(f"synthetic:{clean_directory(tmp_path)}?split=all", "train")
    once, again, other = dataset.read(2, 5), dataset.read(2, 5), dataset.read(2, 6)
    np.testing.assert_array_equal(once.clean, picture(2))
    np.testing.assert_array_equal(once.rainy, again.rainy)
    assert (once.rainy != other.rainy).any()
    assert (once.rainy >= once.clean).all() and (once.rainy > once.clean).any()


def test_a_share_of_synthetic_rain_is_lines(tmp_path: Path) -> None:
    directory = clean_directory(tmp_path, 40)

    def rainy(options: str) -> list[Pixels]:
        data = open_dataset(f"synthetic:{directory}?split=all&heaviness=0.5-0.6{options}", "train")
        return [data.read(index).rainy for index in range(len(data))]

    def equal(one: list[Pixels], other: list[Pixels]) -> int:
        return sum(bool((a == b).all()) for a, b in zip(one, other, strict=True))

    streaks, lines = rainy(""), rainy("&lines=1")
    assert equal(rainy("&lines=0"), streaks) == len(streaks)
    assert equal(lines, streaks) == 0
    assert 8 <= equal(rainy("&lines=0.5"), lines) <= 32  # equal draws, so a picture of lines is the same one


def test_heavier_rain_where_the_spec_says_so(tmp_path: Path) -> None:
    directory = clean_directory(tmp_path)
    light, heavy = (
        open_dataset(f"synthetic:{directory}?split=all&heaviness={range_}", "test")
        for range_ in ("0.1-0.2", "0.8-1.0")
    )

    def added(pairs: list[Pair]) -> float:
        return float(np.mean([pair.rainy.astype(int) - pair.clean for pair in pairs]))

    # Measured by hand: the mean of S is 5.7 on Rain100L (heaviness 0.2) and 54 on Rain100H (0.85).
    assert added([light.read(i) for i in range(6)]) < 15
    assert added([heavy.read(i) for i in range(6)]) > 25


def test_each_20th_picture_is_held_back(tmp_path: Path) -> None:
    directory = clean_directory(tmp_path, 41)
    train, test = (open_dataset(f"synthetic:{directory}", split) for split in ("train", "test"))  # type: ignore[arg-type]
    assert test.names == ("0", "20", "40") and len(train) == 38
    assert not set(train.names) & set(test.names)
    assert len(open_dataset(f"synthetic:{directory}?split=all", "test")) == 41


def test_a_single_clean_picture_leaves_no_training_split(tmp_path: Path) -> None:
    message = refused(f"synthetic:{clean_directory(tmp_path, 1)}", "train")
    assert "held back for testing" in message and "?split=all" in message


def test_drawn_streets_need_no_file_and_range_from_light_to_heavy_rain() -> None:
    streets = open_dataset("drawn:3", "test")
    pairs = [streets.read(index) for index in range(len(streets))]
    added = [(pair.rainy.astype(int) - pair.clean).mean() for pair in pairs]
    assert len(pairs) == 3 and added[0] > 0.5 and added == sorted(added)
    assert all((pair.rainy >= pair.clean).all() for pair in pairs)
    np.testing.assert_array_equal(streets.read(1).rainy, pairs[1].rainy)
    assert (streets.read(1, draw=1).rainy != pairs[1].rainy).any()
    assert (pairs[0].clean != pairs[1].clean).any()


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_number_of_drawn_streets_that_is_none(count: str) -> None:
    assert "drawn:8" in refused(f"drawn:{count}")


def test_clean_pictures_are_their_own_input(tmp_path: Path) -> None:
    pair = open_dataset(f"clean:{clean_directory(tmp_path)}", "test").read(3)
    np.testing.assert_array_equal(pair.rainy, picture(3))
    np.testing.assert_array_equal(pair.clean, picture(3))


# --- specs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rain100l", "rain100h", "ddn", "did", "rain800", "synthetic", "clean"])
def test_a_directory_that_is_missing_or_empty_or_a_file(kind: str, tmp_path: Path) -> None:
    assert "no such directory" in refused(f"{kind}:{tmp_path / 'no'}")
    (tmp_path / "empty").mkdir()
    assert "no pictures in this directory" in refused(f"{kind}:{tmp_path / 'empty'}")
    (tmp_path / "file").touch()
    assert "is not a directory" in refused(f"{kind}:{tmp_path / 'file'}")


@pytest.mark.parametrize("spec", ["rain100", "rain100x:a", "rain100l:", "", ":", "pairs"])
def test_a_spec_that_is_none_lists_those_there_are(spec: str) -> None:
    message = refused(spec)
    assert "rain100l:DIR" in message and "pairs:RAINY_DIR,CLEAN_DIR" in message


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("pairs:a", "expected two directories"),
        ("synthetic:a?wind=3", "faults=SHARE, lines=SHARE, turned=SHARE, streaks=SPEC or split=all"),
        (
            "synthetic:a?split=most",
            "faults=SHARE, lines=SHARE, turned=SHARE, streaks=SPEC or split=all",
        ),
        ("synthetic:a?lines=2", "lines=2: expected a share from 0 to 1, as in lines=0.3"),
        ("synthetic:a?turned=2", "turned=2: expected a share from 0 to 1, as in turned=0.3"),
        ("synthetic:a?lines=some", "expected a share from 0 to 1"),
        ("synthetic:a?lines=0.5&streaks=rain100h:b", "lines does not apply to streaks"),
        ("synthetic:a?heaviness=0.5&streaks=rain100h:b", "heaviness does not apply to streaks"),
        ("synthetic:a?heaviness=2", "from 0 (drizzle) to 1"),
        ("synthetic:a?heaviness=0.4-0.1", "from 0 (drizzle) to 1"),
        ("synthetic:a?heaviness=nan", "from 0 (drizzle) to 1"),
    ],
)
def test_a_wrong_spec_is_one_line(spec: str, reason: str) -> None:
    assert reason in refused(spec)


def test_hidden_and_other_files_are_no_pictures(tmp_path: Path) -> None:
    clean_directory(tmp_path, 2)
    (tmp_path / "._0.png").write_bytes(b"of macOS")
    (tmp_path / "Thumbs.db").touch()
    assert open_dataset(f"clean:{tmp_path}", "test").names == ("0", "1")


def test_data_needs_no_torch() -> None:
    code = "import sys, granet.data.datasets, granet.training.samples; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_turned_pictures_lie_on_their_side_and_the_rain_on_them_does_not(tmp_path: Path) -> None:
    directory = clean_directory(tmp_path)
    upright, turned, some = (
        open_dataset(f"synthetic:{directory}?split=all{more}", "train")
        for more in ("", "&turned=1", "&turned=0.5")
    )
    for draw in range(4):
        before, after = upright.read(2, draw), turned.read(2, draw)
        np.testing.assert_array_equal(after.clean, np.rot90(before.clean))
        again = turned.read(2, draw)
        np.testing.assert_array_equal(again.rainy, after.rainy)
    count = sum(
        not np.array_equal(some.read(1, draw).clean, upright.read(1, draw).clean) for draw in range(200)
    )
    assert 70 < count < 130
    # A crop is cut from the turned picture; its rain is that of an upright crop of this size.
    cut = (slice(3, 23), slice(5, 35))
    part = turned.read_cut(2, 0, lambda height, width: cut)
    assert part.clean.shape == (20, 30, 3)
    whole = np.rot90(upright.read(2).clean)
    found = [
        (i, j)
        for i in range(whole.shape[0] - 19)
        for j in range(whole.shape[1] - 29)
        if np.array_equal(whole[i : i + 20, j : j + 30], part.clean)
    ]
    assert found
    level = upright.read_cut(2, 0, lambda height, width: cut)
    unsaturated = (part.rainy < 255) & (level.rainy < 255)
    rain = [pair.rainy.astype(int) - pair.clean for pair in (part, level)]
    np.testing.assert_array_equal(rain[0][unsaturated], rain[1][unsaturated])
