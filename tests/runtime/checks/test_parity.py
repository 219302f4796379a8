"""Parity detects differences and reports the measured figures."""

import json
import math
from typing import Any

import numpy as np
import pytest

from granet.errors import UserError
from granet.size_rule import SizeRule
from runtime.checks.parity import ParityBudget, budget_for, measure_parity
from runtime.checks.parity_cases import ParityCase, hard_cases, sizes_for, synthetic_rain
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Pixels
from tests.runtime.fakes import FakeEngine

BUDGET = ParityBudget(mean_db=40, min_db=30, share=0.01, hard_db=20)


class OffBy(FakeEngine):
    """Returns the frames with some values changed."""

    def __init__(self, levels: int, every: int) -> None:
        super().__init__()
        self._levels, self._every = levels, every

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        result = batch.astype(int)
        result.reshape(-1)[:: self._every] += self._levels
        return (result.astype(np.uint8),)


def grey(name: str = "grey", hard: bool = False) -> ParityCase:
    return ParityCase(name, np.full((1, 20, 30, 3), 100, np.uint8), hard)


def test_equal_engines_pass() -> None:
    report = measure_parity(FakeEngine(), FakeEngine(), [grey()], BUDGET)
    assert report.to_json()["passed"] is True
    assert report.worst.psnr_db == 100


def test_the_figures_are_those_of_a_known_difference() -> None:
    report = measure_parity(FakeEngine(), OffBy(levels=10, every=4), [grey()], BUDGET).to_json()
    psnr = 10 * math.log10(255**2 / (10**2 / 4))
    assert report["psnr_db"] == {"min": pytest.approx(psnr, abs=1e-3), "mean": pytest.approx(psnr, abs=1e-3)}
    assert report["pixels_off_by_more_than_1"] == 0.25
    assert report["largest"] == 10
    assert report["passed"] is False  # 34 dB and a quarter of all values
    json.dumps(report, allow_nan=False)


def test_one_level_is_rounding_and_two_are_not() -> None:
    one = measure_parity(FakeEngine(), OffBy(1, 1), [grey()], BUDGET)
    two = measure_parity(FakeEngine(), OffBy(2, 1), [grey()], BUDGET)
    assert (one.share, two.share) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mean_db": 60.0}, "mean"),
        ({"min_db": 60.0}, "grey"),
        ({"share": 0.0}, "values off"),
        ({}, "hard one"),
    ],
)
def test_each_limit_is_checked_separately(changes: dict[str, Any], named: str) -> None:
    loose = {"mean_db": 0.0, "min_db": 0.0, "share": 1.0, "hard_db": 0.0}
    cases = (
        [grey()]
        if changes
        else [ParityCase("fine", np.zeros((1, 16, 16, 3), np.uint8)), grey("hard one", True)]
    )
    budget = ParityBudget(**(loose | (changes or {"hard_db": 60.0})))
    (miss,) = measure_parity(FakeEngine(), OffBy(5, 100), cases, budget).misses()
    assert named in miss


def test_a_hard_case_is_not_counted_among_the_pictures() -> None:
    good = ParityCase("good", np.zeros((1, 16, 16, 3), np.uint8))

    class BadOnGrey(OffBy):
        def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
            return super()._infer(batch, want_mask) if batch.max() else (batch.copy(),)

    report = measure_parity(FakeEngine(), BadOnGrey(10, 4), [good, grey(hard=True)], BUDGET)
    assert (report.mean_db, report.share) == (100, 0.0)
    assert report.misses() == []


def test_colour_orders_must_agree() -> None:
    with pytest.raises(UserError, match="colour order"):
        measure_parity(FakeEngine("bgr"), FakeEngine("rgb"), [grey()], BUDGET)


def test_nothing_to_compare_is_an_error_not_a_pass() -> None:
    with pytest.raises(UserError, match="no cases to compare"):
        measure_parity(FakeEngine(), FakeEngine(), [], BUDGET)


def test_budgets_are_stated_by_precision_and_overridable() -> None:
    stated = budget_for("fp32")
    assert (stated.mean_db, stated.min_db, stated.share) == (60, 50, 1e-3)
    assert budget_for("fp32", min_db=50.0, share=None).min_db == 50
    with pytest.raises(UserError, match="int3"):
        budget_for("int3")


def test_hard_cases_match_their_names() -> None:
    cases = {case.name.split(" ")[0]: case.frames for case in hard_cases((33, 47))}
    assert all(frames.shape[1:] == (33, 47, 3) and frames.dtype == np.uint8 for frames in cases.values())
    ties = cases["ties"][0, :32, :46].reshape(16, 2, 23, 2, 3)
    assert (ties == ties[:, :1, :, :1]).all()
    assert (cases["black"] == 0).all() and (cases["white"] == 255).all()
    assert set(np.unique(cases["saturated"])) == {0, 255}
    assert len(cases["batch"]) == 2 and (cases["batch"][0] != cases["batch"][1]).any()


def test_synthetic_rain_gets_heavier() -> None:
    levels = [case.frames.mean() for case in synthetic_rain((64, 96), count=3)]
    assert len(levels) == 3
    assert levels[-1] > levels[0]


def test_a_static_graph_is_compared_at_its_own_size_only() -> None:
    static, dynamic = FrameFit(SizeRule(), 320, 480, 1), FrameFit(SizeRule())
    assert sizes_for(static, ()) == [(320, 480)]
    assert sizes_for(dynamic, [(100, 200)]) == [(100, 200)]
    assert len(sizes_for(dynamic, ())) >= 3
    with pytest.raises(UserError, match="--dynamic"):
        sizes_for(static, [(100, 200)])
