"""Measures the loss of quantisation against the float32 model, and against ground truth if available.

There are two measures. The *noise* of a quantised model is the mean square of its change to the luminance of
the result, before rounding. The noise of layers nearly adds up, and a few pictures suffice to measure even a
small one, so it guides the search. The *drop* in PSNR and SSIM of the rounded pictures, by the two metrics of
:mod:`granet.evaluation.metrics`, is the loss that a user sees, so it decides.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.pictures.examples import Example
from calibration.simulation import Levels, Simulation, to_pixels
from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from granet.evaluation.metrics import METRICS, psnr, score

PUBLISHED_DB = 37.55
"""PSNR of GraNet on Rain100L (table 1 of the paper), in dB. Without ground truth, the drop is computed for a
network of this quality. The same noise costs a worse network less, so for those this is strict."""

WORST, SSIM = 5.0, 0.01
"""Allowed drop of the worst picture in dB, and of the mean SSIM, per dB of allowed mean drop."""

HARD_DB = 25.0
"""Least PSNR of a hard case to the float32 model, in dB; NaN, overflow and black pictures are far below."""


@dataclass(frozen=True)
class PictureQuality:
    """The quality on one picture.

    Attributes:
        name: name of the picture.
        psnr_db: PSNR of the quantised to the float32 model's result over RGB, in dB, at most 100.
        expected_drop_db: drop in PSNR in dB if the noise is independent of the float32 model's error.
        psnr_drop_db: metric -> drop in PSNR in dB; ``None`` without ground truth.
        ssim_drop: metric -> drop in SSIM; ``None`` without ground truth.
    """

    name: str
    psnr_db: float
    expected_drop_db: float
    psnr_drop_db: dict[str, float] | None = None
    ssim_drop: dict[str, float] | None = None


@dataclass(frozen=True)
class QualityReport:
    """The quality on all pictures, with a budget.

    Attributes:
        budget_db: allowed mean drop in PSNR, in dB.
        pictures: the quality on each picture.
        hard: hard case -> PSNR to the float32 model, in dB.
        least_psnr_db: least PSNR of each picture to the float32 model, in dB.
    """

    budget_db: float
    pictures: tuple[PictureQuality, ...]
    hard: dict[str, float]
    least_psnr_db: float = 0.0

    @property
    def has_truth(self) -> bool:
        """Whether all pictures have ground truth."""
        return all(picture.psnr_drop_db is not None for picture in self.pictures)

    @property
    def psnr_db(self) -> tuple[float, float]:
        """Mean and least PSNR to the float32 model, in dB."""
        values = [picture.psnr_db for picture in self.pictures]
        return float(np.mean(values)), min(values)

    def drops(self) -> dict[str, tuple[float, float]]:
        """Mean and largest drop in PSNR, in dB: by metric, or the expected drop without ground truth."""
        if not self.has_truth:
            values = [picture.expected_drop_db for picture in self.pictures]
            return {"expected": (float(np.mean(values)), max(values))}
        return {name: _mean_and_most(self._values("psnr_drop_db", name)) for name in METRICS}

    def ssim_drops(self) -> dict[str, tuple[float, float]]:
        """Mean and largest drop in SSIM by metric; empty without ground truth."""
        if not self.has_truth:
            return {}
        return {name: _mean_and_most(self._values("ssim_drop", name)) for name in METRICS}

    def figures(self, metric: str) -> tuple[float, float, float, float, float]:
        """Mean and least PSNR to float32, mean and largest drop in PSNR, all in dB; mean drop in SSIM."""
        return (*self.psnr_db, *self.drops()[metric], self.ssim_drops()[metric][0])

    def misses(self) -> list[str]:
        """One text per violation of the budget; empty if the budget is met."""
        found = []
        for name, (mean, most) in self.drops().items():
            if mean > self.budget_db:
                found.append(f"{name} mean drop {mean:.3f} dB, at most {self.budget_db:g} allowed")
            if most > WORST * self.budget_db:
                found.append(f"{name} worst drop {most:.2f} dB, at most {WORST * self.budget_db:g} allowed")
        for name, (mean, _) in self.ssim_drops().items():
            if mean > SSIM * self.budget_db:
                found.append(f"{name} mean SSIM drop {mean:.4f}, at most {SSIM * self.budget_db:g} allowed")
        _, least = self.psnr_db
        if least < self.least_psnr_db:
            found.append(f"worst PSNR to float32 {least:.1f} dB, at least {self.least_psnr_db:g} required")
        found += [
            f"{name} {value:.1f} dB to float32, at least {HARD_DB:g} required"
            for name, value in self.hard.items()
            if value < HARD_DB
        ]
        return found

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        mean, least = self.psnr_db
        return {
            "passed": not self.misses(),
            "budget_db": self.budget_db,
            "psnr_to_fp32_db": {"mean": mean, "min": least},
            "drop_db": {name: {"mean": m, "worst": w} for name, (m, w) in self.drops().items()},
            "ssim_drop": {name: {"mean": m, "worst": w} for name, (m, w) in self.ssim_drops().items()},
            "hard": self.hard,
            "misses": self.misses(),
            "images": [asdict(picture) for picture in self.pictures],
        }

    def _values(self, field: str, metric: str) -> list[float]:
        return [getattr(picture, field)[metric] for picture in self.pictures]


class Judge:
    """Compares quantised models with the float32 model on the same pictures."""

    def __init__(
        self,
        reference: Simulation,
        examples: Sequence[Example],
        hard: Sequence[Example] = (),
        progress: Progress = no_progress,
    ) -> None:
        """Runs the float32 model.

        Args:
            reference: the float32 model.
            examples: pictures to judge by, at least one.
            hard: hard cases.
            progress: called after each picture.

        Raises:
            UserError: if there are no examples.
        """
        if not examples:
            raise UserError("there are no pictures to judge by: use --data or --images with pictures")
        self.examples, self._hard = list(examples), list(hard)
        results = list(self._run(reference, progress))
        self._expected, self._expected_hard = results[: len(examples)], results[len(examples) :]
        self._errors = [
            _assumed_error() if example.truth is None else _power(expected, example.truth)
            for example, expected in zip(self.examples, self._expected, strict=True)
        ]

    def _run(self, model: Simulation, progress: Progress) -> Iterator[Levels]:
        """Yields the model's results for the examples, then for the hard cases."""
        cases = [*self.examples, *self._hard]
        for done, case in enumerate(cases, 1):
            levels = model.run(case.rainy)
            progress(done, len(cases), case.name)
            yield levels

    def noise(self, model: Simulation) -> list[float]:
        """Noise power of each picture, in squared grey levels of luminance."""
        return [
            _power(model.run(example.rainy), expected)
            for example, expected in zip(self.examples, self._expected, strict=True)
        ]

    def drops(self, noise: Sequence[float]) -> list[float]:
        """Expected drop in PSNR of each picture due to noise, in dB: 10 log10(1 + noise / error)."""
        return [
            10 * math.log10(1 + power / max(error, 1e-9))
            for power, error in zip(noise, self._errors, strict=True)
        ]

    def within(self, noise: Sequence[float], budget_db: float) -> bool:
        """Whether the expected drop is within the budget, both the mean and the worst picture."""
        drops = self.drops(noise)
        return float(np.mean(drops)) <= budget_db and max(drops) <= WORST * budget_db

    def report(
        self,
        model: Simulation,
        budget_db: float,
        progress: Progress = no_progress,
        least_psnr_db: float = 0.0,
    ) -> QualityReport:
        """Measures the full quality, from rounded pictures and by both metrics."""
        results = self._run(model, progress)
        pictures = [
            self._compared(number, example, next(results)) for number, example in enumerate(self.examples)
        ]
        hard = {
            case.name: psnr(to_pixels(expected), to_pixels(levels))
            for case, expected, levels in zip(self._hard, self._expected_hard, results, strict=True)
        }
        return QualityReport(budget_db, tuple(pictures), hard, least_psnr_db)

    def _compared(self, number: int, example: Example, levels: Levels) -> PictureQuality:
        expected, found = to_pixels(self._expected[number]), to_pixels(levels)
        power = _power(levels, self._expected[number])
        drop = 10 * math.log10(1 + power / max(self._errors[number], 1e-9))
        if example.truth is None:
            return PictureQuality(example.name, psnr(expected, found), drop)
        before, after = score(expected, example.truth), score(found, example.truth)
        return PictureQuality(
            example.name,
            psnr(expected, found),
            drop,
            {name: before.by(name).psnr_db - after.by(name).psnr_db for name in METRICS},
            {name: before.by(name).ssim - after.by(name).ssim for name in METRICS},
        )


def _luma(picture: NDArray[Any]) -> NDArray[np.float64]:
    """BT.601 luma, H x W, which both metrics use."""
    return np.asarray(picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))


def _power(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.mean((_luma(one) - _luma(other)) ** 2))


def _assumed_error() -> float:
    return 255.0**2 / 10 ** (PUBLISHED_DB / 10)


def _mean_and_most(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), max(values)
