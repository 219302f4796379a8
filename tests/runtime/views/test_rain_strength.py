"""Rain must be told from dry weather without the clean picture: drawn, of the data sets, and filmed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.sources.video.source import VideoSource
from runtime.views.rain_strength import DRY_BELOW, rain_strength

DATA = Path(__file__).parents[4] / "shared" / "data"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")


def share_rainy(paths: list[Path]) -> float:
    return float(np.mean([rain_strength(cv2.imread(str(path))) >= DRY_BELOW for path in paths]))


def test_more_rain_measures_more() -> None:
    clean = street(240, 320, seed=3)
    found = [rain_strength(clean)]
    for heaviness in (0.25, 0.5, 0.9):
        rain = render_rain(sample_rain(np.random.default_rng(5), heaviness), 240, 320)
        found.append(rain_strength(add_rain(clean, rain)))
    assert found == sorted(found)
    assert found[0] < DRY_BELOW < found[1] < found[3] / 2


def test_neither_noise_nor_flat_areas_are_rain() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(128 + rng.normal(0, 8, (240, 320, 3)), 0, 255).astype(np.uint8)
    for dry in (noisy, np.full((240, 320, 3), 255, np.uint8), np.zeros((16, 16, 3), np.uint8)):
        assert rain_strength(dry) < DRY_BELOW


def test_rain_on_a_large_frame_is_seen_although_its_streaks_are_wider() -> None:
    rain = render_rain(sample_rain(np.random.default_rng(5), 0.6), 240, 320)
    rainy = add_rain(street(240, 320, seed=3), rain)
    large = cv2.resize(rainy, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    assert rain_strength(large) > 0.3 * rain_strength(rainy) > DRY_BELOW


@needs_data
def test_rain_of_the_data_sets_is_told_from_their_clean_pictures() -> None:
    rainy = sorted((DATA / "rain100l-test" / "rainy").iterdir())[::4]
    clean = sorted((DATA / "rain100l-test" / "clean").iterdir())[::4]
    assert share_rainy(rainy) > 0.9
    assert share_rainy(clean) < 0.3
    heavier = [rain_strength(cv2.imread(str(a))) > rain_strength(cv2.imread(str(b)))
               for a, b in zip(rainy, clean, strict=True)]  # fmt: skip
    assert np.mean(heavier) > 0.95


@needs_data
def test_real_rain_is_told_from_dry_video() -> None:
    patio = sorted((DATA / "clips" / "real-rain-patio").iterdir())[::6]
    assert share_rainy(patio) > 0.5
    with VideoSource(str(DATA / "clips" / "vtest.avi"), lambda message: None) as source:
        frame = next(source.frames("bgr"))
    assert rain_strength(frame.pixels) < DRY_BELOW
