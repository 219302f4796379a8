"""Drops in quality, on pictures with known noise."""

from pathlib import Path

import numpy as np
import pytest

from calibration.pictures.examples import Example, load_examples, load_hard
from calibration.search.quality import Judge, PictureQuality, QualityReport
from calibration.simulation import Levels
from granet.errors import UserError
from runtime.media.frame import Pixels
from tests.calibration import sample
from tests.media import numbered, write_picture

RNG = np.random.default_rng(5)
TRUTH = RNG.integers(40, 200, (48, 64, 3), np.uint8)


class Shifted:
    """A model that adds grey noise of a given standard deviation, the same for the same seed."""

    def __init__(self, *deviations: float) -> None:
        self.deviations = deviations

    def run(self, picture: Pixels) -> Levels:
        levels = picture.astype(np.float32)
        for seed, deviation in enumerate(self.deviations):
            noise = np.random.default_rng(seed).normal(0, deviation, picture.shape[:2])
            levels = levels + noise[..., None].astype(np.float32)
        return levels


def judge(truth: Pixels | None = TRUTH) -> Judge:
    return Judge(Shifted(4.0), [Example("one", TRUTH, truth)])  # type: ignore[arg-type]


def test_noise_is_measured_in_squared_grey_levels_before_rounding() -> None:
    assert judge().noise(Shifted(4.0, 0.1)) == [pytest.approx(0.01, rel=0.05)]  # type: ignore[arg-type]


def test_the_expected_drop_is_the_measured_one() -> None:
    """Noise of a quarter of the error's power: 10 log10(1.25) = 0.97 dB."""
    model = Shifted(4.0, 2.0)
    (drop,) = judge().drops(judge().noise(model))  # type: ignore[arg-type]
    assert drop == pytest.approx(0.969, abs=0.06)
    report = judge().report(model, budget_db=0.1)  # type: ignore[arg-type]
    assert report.drops()["paper"][0] == pytest.approx(0.969, abs=0.15)
    assert report.drops()["matlab"][0] == pytest.approx(0.969, abs=0.15)
    assert any("drop" in miss and "at most 0.1 allowed" in miss for miss in report.misses())


def test_without_truth_the_drop_assumes_the_papers_quality() -> None:
    """At 37.55 dB a noise at 53.8 dB to float32 costs 0.1 dB: 10 log10(1 + 10^((37.55 - 53.8) / 10))."""
    deviation = 255 / 10 ** (53.8 / 20)
    (drop,) = judge(None).drops(judge(None).noise(Shifted(4.0, deviation)))  # type: ignore[arg-type]
    assert drop == pytest.approx(0.102, abs=0.004)


@pytest.mark.parametrize(
    ("mean", "worst", "ssim", "missed"),
    [(0.09, 0.4, 0.0009, 0), (0.11, 0.4, 0.0009, 1), (0.09, 0.6, 0.0009, 1), (0.09, 0.4, 0.0012, 1)],
)
def test_mean_worst_and_ssim_each_count(mean: float, worst: float, ssim: float, missed: int) -> None:
    rest = 2 * mean - worst
    both = [
        PictureQuality("p", 50.0, 0.1, {"paper": drop, "matlab": 0.0}, {"paper": ssim, "matlab": 0.0})
        for drop in (worst, rest)
    ]
    assert len(QualityReport(0.1, tuple(both), {}).misses()) == missed


def test_a_black_result_of_a_hard_case_is_a_miss() -> None:
    report = QualityReport(0.1, (PictureQuality("p", 60.0, 0.0),), {"white": 0.0})
    assert report.misses() == ["white 0.0 dB to float32, at least 25 required"]


def test_float16_must_reach_60_db_on_every_picture() -> None:
    pictures = (PictureQuality("p", 61.0, 0.0), PictureQuality("q", 59.9, 0.0))
    report = QualityReport(0.01, pictures, {}, least_psnr_db=60.0)
    assert report.misses() == ["worst PSNR to float32 59.9 dB, at least 60 required"]
    assert not QualityReport(0.01, pictures, {}).misses()


def test_no_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="no pictures"):
        Judge(Shifted(), [])  # type: ignore[arg-type]


def test_examples_are_of_the_size_of_a_static_graph() -> None:
    drawn = load_examples(sample.metadata(), None, None, 2)
    assert [example.rainy.shape for example in drawn] == [(64, 96, 3)] * 2
    assert {example.name.split()[0] for example in load_hard(sample.metadata())} >= {"ties", "black", "white"}


def test_pictures_are_those_that_can_be_calibrated_on(tmp_path: Path) -> None:
    """A pattern, and a name without a suffix of its own."""
    for number in range(5):
        write_picture(tmp_path / f"{number}.png", numbered(number))
    found = load_examples(sample.metadata(), None, tmp_path / "[1-4].png", 2)
    assert [example.name for example in found] == ["1", "4"]
    with pytest.raises(UserError, match="none"):
        load_examples(sample.metadata(), None, tmp_path / "none", 2)
