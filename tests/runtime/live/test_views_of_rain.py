"""The mask view, and skipping of dry frames."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.errors import UserError
from granet.size_rule import SizeRule
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from runtime.engines.fitting import FrameFit
from runtime.live.dry_skipper import DryDetector
from runtime.live.mask_view import MaskView
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Colour, Frame, Pixels
from runtime.open import open_engine
from runtime.views.rain_overlay import without_offset
from runtime.views.rain_strength import rain_strength
from tests.runtime.fakes import FakeEngine
from tests.runtime.handmade import inverting_file
from tests.runtime.live.test_pipeline import FakeSink, FakeSource

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


class TestMaskOfAModel:
    @pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
    @pytest.mark.parametrize(
        "size", [{}, {"height": 32, "width": 32}, {"height": 24, "width": 40, "batch": 3}]
    )
    def test_comes_with_the_result(self, tmp_path: Path, backend: str, size: dict[str, int]) -> None:
        # In the handmade graph the result is 255 - x and the mask is x.
        path = inverting_file(tmp_path / "m.onnx", outputs=["derained", "mask", "coarse"], **size)
        frames = np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3), np.uint8)
        with open_engine(path, "cpu", backend) as engine:
            assert engine.info.has_mask
            result, mask = engine.run(frames, want_mask=True)
            assert np.array_equal(engine.run(frames), result)
        assert np.array_equal(result, 255 - frames) and np.array_equal(mask, frames)

    def test_costs_no_second_run_of_the_network(self) -> None:
        class Masking(FakeEngine):
            def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
                return (*super()._infer(batch, want_mask), np.full_like(batch, self.calls))

        # Four tiles: each is computed once, and each has the mask of its own run.
        engine = Masking(fit=FrameFit(SizeRule(multiple=1, extent=None), height=32, width=32))
        engine.info = replace(engine.info, has_mask=True)
        frames = np.full((1, 40, 40, 3), 9, np.uint8)
        result, mask = engine.run(frames, want_mask=True)
        assert engine.calls == 4 and np.array_equal(result, frames)
        assert [mask[0, y, x, 0] for y in (0, 39) for x in (0, 39)] == [1, 2, 3, 4]

    def test_that_gives_none_is_refused(self, tmp_path: Path) -> None:
        frames = np.zeros((1, 32, 32, 3), np.uint8)
        with open_engine(inverting_file(tmp_path / "m.onnx"), "cpu", "onnxruntime") as engine:
            assert not engine.info.has_mask
            with pytest.raises(UserError, match="export it with --stages"):
                engine.run(frames, want_mask=True)


def test_the_view_of_a_model_without_stages_is_what_it_removed() -> None:
    said: list[str] = []
    view = MaskView(FakeEngine().info, said.append)
    before = np.full((32, 32, 3), 200, np.uint8)
    painted = view.paint(before, 255 - before, None)
    # 200 became 55: 145 levels removed, all light blue; the input is not touched.
    assert painted[0, 0].tolist() == [255, 190, 40] and before.max() == 200
    assert len(said) == 1 and "input minus result" in said[0] and "--stages" in said[0]


def test_the_view_of_a_model_with_stages_is_its_mask_without_the_veil() -> None:
    said: list[str] = []
    view = MaskView(replace(FakeEngine().info, has_mask=True), said.append)
    # A veil of 90 levels, and a streak that is 100 brighter.
    mask = np.full((32, 32, 3), 90, np.uint8)
    mask[:, 7] = 190
    painted = view.paint(mask, mask, mask)
    assert painted[5, 7].tolist() == [255, 190, 40]
    assert np.ptp(painted[:, 8:].astype(int)) == 0 and painted[0, 9, 0] == painted[0, 9, 2]
    assert len(said) == 1 and "rain mask, minus its median" in said[0]
    assert np.array_equal(view.paint_dry(mask)[:, 8:], painted[:, 8:])


def test_the_offset_of_a_mask_is_its_median_in_each_channel() -> None:
    mask = np.random.default_rng(3).integers(0, 60, (33, 41, 3), np.uint8) + np.array([12, 3, 17], np.uint8)
    lower = [np.sort(mask[..., channel].ravel())[(33 * 41 - 1) // 2] for channel in range(3)]
    assert np.array_equal(without_offset(mask), np.maximum(0, mask.astype(int) - lower))
    # Few streaks, and nothing else.
    streaks = np.full((32, 32, 3), (12, 3, 17), np.uint8)
    streaks[:, ::8] += 50
    left = without_offset(streaks)
    assert (left[:, ::8] == 50).all() and left.sum() == 50 * 3 * 32 * 4


def test_one_rainy_frame_starts_inference_and_only_dry_seconds_stop_it() -> None:
    dry = scene()
    rain = sample_rain(np.random.default_rng(1), 0.4)
    wet = add_rain(dry, render_rain(rain, 96, 128))
    detector = DryDetector()
    # Two seconds at 30 frames a second, as the documentation says.
    answers = [detector.is_dry(dry) for _ in range(63)]
    assert 50 < answers.index(True) <= 60
    # Rain is seen within a sixth of a second.
    noticed = [detector.is_dry(wet) for _ in range(6)]
    assert False in noticed and not any(noticed[noticed.index(False) :])
    # The dry period starts again.
    assert not any(detector.is_dry(dry) for _ in range(50))


def test_dry_frames_bypass_the_engine() -> None:
    dry = scene()
    engine, said, sink = FakeEngine(invert=True), list[str](), FakeSink()
    source = Still(dry, 100)
    summary = Pipeline(source, engine, sink, skip_dry=True, announce=said.append).run()
    passed = [np.array_equal(frame.pixels, dry) for frame in sink.frames]
    first = passed.index(True)
    assert 50 < first <= 60 and all(passed[first:]) and engine.calls == first
    assert source.health.snapshot().frames_dry == 100 - first and summary.frames_out == 100
    assert said == ["dry: frames bypass the engine"]


def test_dry_frames_in_the_mask_view_show_no_rain() -> None:
    sink = FakeSink()
    Pipeline(Still(scene(), 80), FakeEngine(invert=True), sink, skip_dry=True, show_mask=True).run()
    wet, dry = sink.frames[0].pixels, sink.frames[-1].pixels
    assert np.ptp(wet.astype(int), axis=2).max() > 100
    assert np.ptp(dry.astype(int), axis=2).max() == 0 and 10 < dry.mean() < 0.6 * scene().mean()


class Still(FakeSource):
    """A file that shows one picture again and again."""

    def __init__(self, pixels: Pixels, count: int) -> None:
        super().__init__(count)
        self._pixels = pixels

    def frames(self, colour: Colour) -> Iterator[Frame]:
        for frame in super().frames(colour):
            yield replace(frame, pixels=self._pixels)


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
