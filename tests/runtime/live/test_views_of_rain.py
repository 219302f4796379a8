"""The rain mask as a view, and dry frames that are not computed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.synthetic.rain import add_rain, render_rain, sample_rain
from runtime.engines.base import Engine
from runtime.live.dry_skipper import CALM, EVERY, DryDetector, DrySkipper
from runtime.live.mask_view import MaskView
from runtime.media.frame import Pixels
from runtime.open import open_engine
from runtime.telemetry.health import Health
from runtime.views.rain_overlay import without_offset
from runtime.views.rain_strength import rain_strength
from tests.runtime.fakes import FakeEngine
from tests.runtime.handmade import inverting_file

DATA = Path(__file__).parents[4] / "shared" / "data"


def scene() -> Pixels:
    """A dry 128 x 96 picture: a soft gradient."""
    ramp = np.linspace(40, 180, 128) + np.linspace(0, 40, 96)[:, None]
    return np.repeat(ramp[..., None], 3, 2).astype(np.uint8)


def frames_of(clip: str, start: int, count: int) -> list[Pixels]:
    path = DATA / "clips" / clip
    if not path.exists():
        pytest.skip(f"{clip} is not there")
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_POS_FRAMES, start)
    return [np.asarray(capture.read()[1], np.uint8) for _ in range(count)]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("size", [{}, {"height": 32, "width": 32}])
def test_a_model_with_stages_gives_result_and_mask_in_one_run(
    tmp_path: Path, backend: str, size: dict[str, int]
) -> None:
    # In the handmade graph the result is 255 - x and the mask is x.
    path = inverting_file(tmp_path / "m.onnx", outputs=["derained", "mask", "coarse"], **size)
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3), np.uint8)
    with open_engine(path, "cpu", backend) as engine:
        assert engine.has_mask
        result, mask = engine.run_with_mask(frames)
    assert np.array_equal(result, 255 - frames) and np.array_equal(mask, frames)


def test_a_model_without_stages_shows_what_it_removed_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    frames = np.full((1, 32, 32, 3), 200, np.uint8)
    with MaskView(FakeEngine(invert=True), said.append) as view:
        painted = view.run(frames)
    # 200 became 55: 145 levels removed, all orange; the input is not touched.
    assert painted[0, 0, 0].tolist() == [32, 160, 255] and frames.max() == 200
    assert len(said) == 1 and "input minus result" in said[0] and "--stages" in said[0]
    said.clear()
    path = inverting_file(tmp_path / "m.onnx", outputs=["derained", "mask", "coarse"])
    # In the handmade graph the mask is the input: a veil of 90 levels, and a streak that is 100 brighter.
    frames[:] = 90
    frames[:, :, 7] = 190
    with MaskView(open_engine(path, "cpu", "onnxruntime"), said.append) as view:
        painted = view.run(frames)
    assert painted[0, 5, 7].tolist() == [32, 160, 255]
    assert np.ptp(painted[0, :, 8:].astype(int)) == 0 and painted[0, 0, 9, 0] == painted[0, 0, 9, 2]
    assert len(said) == 1 and "rain mask, less its median" in said[0]


def test_the_offset_of_a_mask_is_its_median_in_each_channel() -> None:
    mask = np.random.default_rng(3).integers(0, 60, (33, 41, 3), np.uint8) + np.array([12, 3, 17], np.uint8)
    lower = [np.sort(mask[..., channel].ravel())[(33 * 41 - 1) // 2] for channel in range(3)]
    assert np.array_equal(without_offset(mask), np.maximum(0, mask.astype(int) - lower))
    # Few streaks: nothing else is left.
    streaks = np.full((32, 32, 3), (12, 3, 17), np.uint8)
    streaks[:, ::8] += 50
    left = without_offset(streaks)
    assert (left[:, ::8] == 50).all() and left.sum() == 50 * 3 * 32 * 4


def test_one_rainy_frame_is_enough_and_only_seconds_of_calm_end_it() -> None:
    dry = scene()
    rain = sample_rain(np.random.default_rng(1), 0.4)
    wet = add_rain(dry, render_rain(rain, 96, 128))
    detector = DryDetector()
    answers = [detector.is_dry(dry) for _ in range(CALM * EVERY + 3)]
    assert answers.index(True) == (CALM - 1) * EVERY
    noticed = [detector.is_dry(wet) for _ in range(EVERY + 1)]
    assert False in noticed and not any(noticed[noticed.index(False) :])
    # The calm begins anew.
    assert not any(detector.is_dry(dry) for _ in range((CALM - 1) * EVERY - EVERY))


def test_dry_frames_are_given_back_as_they_are_and_cost_no_inference() -> None:
    dry = scene()
    engine, said, health = FakeEngine(invert=True), list[str](), Health("cam")
    skipper: Engine = DrySkipper(engine, health, said.append)
    for _ in range(100):
        result = skipper.run(dry[None])
    assert np.array_equal(result[0], dry) and not np.shares_memory(result, dry)
    assert engine.calls == (CALM - 1) * EVERY
    assert health.snapshot().frames_dry == 100 - engine.calls
    assert said == ["dry: frames pass as they are"]


@pytest.mark.parametrize("clip", ["vtest.avi", "car-detection.mp4", "dashcam-dry.mp4"])
def test_dry_videos_are_dry_and_with_light_rain_they_are_not(clip: str) -> None:
    frames = frames_of(clip, 50, 2)
    rain = sample_rain(np.random.default_rng(5), 0.2)
    for frame in frames:
        assert rain_strength(frame) < 0.01
        assert rain_strength(add_rain(frame, render_rain(rain, *frame.shape[:2]))) > 0.02


def test_real_rain_is_rain() -> None:
    pictures = sorted((DATA / "clips" / "real-rain-patio").glob("*"))[::20]
    if not pictures:
        pytest.skip("the clip of real rain is not there")
    assert all(rain_strength(np.asarray(cv2.imread(str(path)), np.uint8)) > 0.02 for path in pictures)
