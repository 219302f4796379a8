"""No-reference distinction of rain and dry weather: synthetic rain, data sets and real video."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.data.datasets import open_dataset
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.sources.video.source import VideoSource
from runtime.views.rain_strength import rain_strength
from tests.media import make_clip

DATA = Path(__file__).parents[4] / "shared" / "data"

DRY_BELOW = 0.07
"""Grey levels below which calibration reports a picture as dry."""

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is missing")


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


def test_rain_on_drawn_streets_is_distinct_from_the_streets() -> None:
    streets = open_dataset("drawn:8", "train")
    for number in range(len(streets)):
        pair = streets.read(number)
        assert rain_strength(pair.rainy) > 2 * DRY_BELOW > 2 * rain_strength(pair.clean)


def test_a_coded_video_of_a_dry_street_is_dry(tmp_path: Path) -> None:
    """Coding artefacts at edges and in motion are not rain either."""
    frames = [street(240, 320, time=index / 10)[..., ::-1] for index in range(12)]
    path = make_clip(tmp_path / "dry.mp4", frames=frames, options={"crf": "28", "preset": "veryfast"})
    with VideoSource(str(path), lambda message: None) as source:
        assert max(rain_strength(frame.pixels) for frame in source.frames("bgr")) < DRY_BELOW


@needs_data
def test_rain_of_the_data_sets_differs_from_their_clean_pictures() -> None:
    rainy = sorted((DATA / "rain100l-test" / "rainy").iterdir())[::4]
    clean = sorted((DATA / "rain100l-test" / "clean").iterdir())[::4]
    assert share_rainy(rainy) > 0.9
    assert share_rainy(clean) < 0.3
    heavier = [rain_strength(cv2.imread(str(a))) > rain_strength(cv2.imread(str(b)))
               for a, b in zip(rainy, clean, strict=True)]  # fmt: skip
    assert np.mean(heavier) > 0.95


@needs_data
def test_real_rain_differs_from_dry_video() -> None:
    patio = sorted((DATA / "clips" / "real-rain-patio").iterdir())[::6]
    assert share_rainy(patio) > 0.5
    with VideoSource(str(DATA / "clips" / "vtest.avi"), lambda message: None) as source:
        frame = next(source.frames("bgr"))
    assert rain_strength(frame.pixels) < DRY_BELOW
