"""Models side by side: RGB whatever theirs is, a name each, and the same numbers after an export."""

from pathlib import Path

import numpy as np
import pytest

from granet.config import GraNetConfig
from granet.errors import UserError
from granet.evaluation.metrics import score
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.evaluation.models import EvaluatedModel, open_models
from runtime.media.frame import Colour, Pixels
from tests.runtime.fakes import FakeEngine
from tests.runtime.handmade import inverting_file


class FirstChannelOff(FakeEngine):
    """Sets the first channel, whichever colour that is, to 0."""

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        result = batch.copy()
        result[..., 0] = 0
        return (result,)


@pytest.mark.parametrize(("colour", "off"), [("rgb", 0), ("bgr", 2)])
def test_pictures_are_rgb_outside_whatever_the_model_takes(colour: Colour, off: int) -> None:
    model = EvaluatedModel("fake", Path("fake.onnx"), FirstChannelOff(colour))
    rgb = np.full((1, 20, 30, 3), (10, 20, 30), np.uint8)
    expected = rgb.copy()
    expected[..., off] = 0
    np.testing.assert_array_equal(model.derain(rgb), expected)
    assert rgb[0, 0, 0].tolist() == [10, 20, 30]


def test_the_same_numbers_after_an_export(engines_checkpoint: Path, engines_onnx: Path) -> None:
    clean = street(96, 128)
    rainy = add_rain(clean, render_rain(sample_rain(np.random.default_rng(1), 0.4), 96, 128))
    with open_models([engines_checkpoint, engines_onnx], "cpu", "onnxruntime") as models:
        scores = [score(model.derain(rainy[None])[0], clean) for model in models]
        assert [model.name for model in models] == ["small.pt", "small.onnx"]
        assert [model.engine.info.backend for model in models] == ["torch", "onnxruntime"]
        configs = [model.config for model in models]
    assert configs[0] == configs[1] != GraNetConfig()
    assert scores[0].paper.psnr_db == pytest.approx(scores[1].paper.psnr_db, abs=0.01)
    assert scores[0].matlab.ssim == pytest.approx(scores[1].matlab.ssim, abs=1e-4)


def test_files_of_the_same_name_get_distinct_names(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        inverting_file(tmp_path / folder / "best.onnx")
    inverting_file(tmp_path / "other.onnx")
    paths = [tmp_path / "a" / "best.onnx", tmp_path / "b" / "best.onnx", tmp_path / "other.onnx"]
    with open_models(paths, "cpu", "onnxruntime") as models:
        assert [model.name for model in models] == ["a/best.onnx", "b/best.onnx", "other.onnx"]


def test_a_model_named_twice_is_a_mistake() -> None:
    with (
        pytest.raises(UserError, match=r"a\.onnx is named twice"),
        open_models([Path("a.onnx")] * 2, "cpu", "auto"),
    ):
        pass


def test_a_backend_that_concerns_no_model_is_not_passed_over() -> None:
    with (
        pytest.raises(UserError, match="--backend openvino is for exported models"),
        open_models([Path("a.pt")], "cpu", "openvino"),
    ):
        pass
