"""What quantisation costs: against the truth where there is one, and always against the float32 model.

Two measures. The *noise* of a quantised model is the mean square of what it changes in the luminance of
the result, before rounding; noises of layers nearly add up, and a small one can be measured on a few
pictures, so it guides the search. The *drop* in PSNR and SSIM of the rounded pictures by the two metrics of
:mod:`granet.evaluation.metrics` is what a user loses, and decides.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.pictures.examples import Example
from calibration.simulation import Levels, Simulation, to_pixels
from granet.errors import UserError
from granet.evaluation.metrics import METRICS, score
from runtime.checks.parity import IDENTICAL_DB
from runtime.media.frame import Pixels

PUBLISHED_DB = 37.55
"""GraNet on Rain100L (table 1 of the paper). Where there is no truth, the drop is that of a network as good:
the better a network, the more a given noise costs, so for any other this is strict."""

WORST, SSIM = 5.0, 0.01
"""Drop of the worst picture in dB, and of the mean SSIM, that come with a budget of 1 dB in the mean."""

HARD_DB = 25.0
"""Least PSNR of a hard case to the float32 model; NaN, overflow or a black picture are far below."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PictureQuality:
    """One picture.

    Attributes:
        name: of it.
        psnr_db: of the quantised model's picture to the float32 model's, over RGB, at most 100.
        expected_drop_db: what the noise would cost if it were independent of the float32 model's error.
        psnr_drop_db: by metric; ``None`` without truth.
        ssim_drop: by metric; ``None`` without truth.
    """

    name: str
    psnr_db: float
    expected_drop_db: float
    psnr_drop_db: dict[str, float] | None = None
    ssim_drop: dict[str, float] | None = None


@dataclass(frozen=True)
class QualityReport:
    """All pictures against a budget.

    Attributes:
        budget_db: allowed drop in the mean, dB.
        pictures: one by one.
        hard: hard case -> PSNR to the float32 model.
        least_psnr_db: asked of each picture, to the float32 model.
    """

    budget_db: float
    pictures: tuple[PictureQuality, ...]
    hard: dict[str, float]
    least_psnr_db: float = 0.0

    @property
    def has_truth(self) -> bool:
        """Whether all pictures have one."""
        return all(picture.psnr_drop_db is not None for picture in self.pictures)

    @property
    def psnr_db(self) -> tuple[float, float]:
        """Mean and least PSNR to the float32 model."""
        values = [picture.psnr_db for picture in self.pictures]
        return float(np.mean(values)), min(values)

    def drops(self) -> dict[str, tuple[float, float]]:
        """Mean and largest drop in dB: by metric, or as expected where there is no truth."""
        if not self.has_truth:
            values = [picture.expected_drop_db for picture in self.pictures]
            return {"expected": (float(np.mean(values)), max(values))}
        return {name: _mean_and_most(self._values("psnr_drop_db", name)) for name in METRICS}

    def ssim_drops(self) -> dict[str, tuple[float, float]]:
        """Mean and largest drop in SSIM by metric; empty without truth."""
        if not self.has_truth:
            return {}
        return {name: _mean_and_most(self._values("ssim_drop", name)) for name in METRICS}

    def misses(self) -> list[str]:
        """What is over budget, in words."""
        found = []
        for name, (mean, most) in self.drops().items():
            if mean > self.budget_db:
                found.append(f"{name} drop {mean:.3f} dB in the mean, at most {self.budget_db:g} allowed")
            if most > WORST * self.budget_db:
                found.append(
                    f"{name} drop {most:.2f} dB at worst, at most {WORST * self.budget_db:g} allowed"
                )
        for name, (mean, _) in self.ssim_drops().items():
            if mean > SSIM * self.budget_db:
                found.append(f"{name} SSIM drop {mean:.4f}, at most {SSIM * self.budget_db:g} allowed")
        _, least = self.psnr_db
        if least < self.least_psnr_db:
            found.append(f"PSNR to float32 {least:.1f} dB at worst, at least {self.least_psnr_db:g} asked")
        found += [
            f"{name} {value:.1f} dB to float32, at least {HARD_DB:g} asked"
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
    """Holds quantised models against the float32 one on the same pictures."""

    def __init__(
        self,
        reference: Simulation,
        examples: Sequence[Example],
        hard: Sequence[Example] = (),
        progress: Progress = lambda name: None,
    ) -> None:
        """Runs the float32 model.

        Args:
            reference: the float32 model.
            examples: at least one.
            hard: cases chosen to go wrong.
            progress: told the name of each picture that is done.

        Raises:
            UserError: if there are no examples.
        """
        if not examples:
            raise UserError("there are no pictures to judge by")
        self.examples, self._hard = list(examples), list(hard)
        self._expected = [self._run(reference, example, progress) for example in self.examples]
        self._expected_hard = [self._run(reference, example, progress) for example in self._hard]
        self._errors = [
            _assumed_error() if example.truth is None else _power(expected, example.truth)
            for example, expected in zip(self.examples, self._expected, strict=True)
        ]

    @staticmethod
    def _run(model: Simulation, example: Example, progress: Progress) -> Levels:
        levels = model.run(example.rainy)
        progress(example.name)
        return levels

    def noise(self, model: Simulation) -> list[float]:
        """Noise power of each picture, in squared grey levels of luminance."""
        return [
            _power(model.run(example.rainy), expected)
            for example, expected in zip(self.examples, self._expected, strict=True)
        ]

    def drops(self, noise: Sequence[float]) -> list[float]:
        """The drop in PSNR that noise would cost each picture, dB: 10 log10(1 + noise / error)."""
        return [
            10 * math.log10(1 + power / max(error, 1e-9))
            for power, error in zip(noise, self._errors, strict=True)
        ]

    def within(self, noise: Sequence[float], budget_db: float) -> bool:
        """Whether the expected drop is within a budget, in the mean and for the worst picture."""
        drops = self.drops(noise)
        return float(np.mean(drops)) <= budget_db and max(drops) <= WORST * budget_db

    def report(
        self,
        model: Simulation,
        budget_db: float,
        progress: Progress = lambda name: None,
        least_psnr_db: float = 0.0,
    ) -> QualityReport:
        """Everything, with the rounded pictures by both metrics."""
        pictures = []
        for number, example in enumerate(self.examples):
            levels = self._run(model, example, progress)
            pictures.append(self._compared(number, example, levels))
        hard = {
            example.name: _psnr(to_pixels(expected), to_pixels(self._run(model, example, progress)))
            for example, expected in zip(self._hard, self._expected_hard, strict=True)
        }
        return QualityReport(budget_db, tuple(pictures), hard, least_psnr_db)

    def _compared(self, number: int, example: Example, levels: Levels) -> PictureQuality:
        expected, found = to_pixels(self._expected[number]), to_pixels(levels)
        power = _power(levels, self._expected[number])
        drop = 10 * math.log10(1 + power / max(self._errors[number], 1e-9))
        if example.truth is None:
            return PictureQuality(example.name, _psnr(expected, found), drop)
        before, after = score(expected, example.truth), score(found, example.truth)
        return PictureQuality(
            example.name,
            _psnr(expected, found),
            drop,
            {name: before.by(name).psnr_db - after.by(name).psnr_db for name in METRICS},
            {name: before.by(name).ssim - after.by(name).ssim for name in METRICS},
        )


def _luma(picture: NDArray[Any]) -> NDArray[np.float64]:
    """BT.601, which both metrics use, H x W."""
    return np.asarray(picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))


def _power(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.mean((_luma(one) - _luma(other)) ** 2))


def _assumed_error() -> float:
    return 255.0**2 / 10 ** (PUBLISHED_DB / 10)


def _psnr(one: Pixels, other: Pixels) -> float:
    mse = float(np.mean((one.astype(np.float64) - other) ** 2))
    return IDENTICAL_DB if mse == 0 else min(IDENTICAL_DB, 10 * math.log10(255**2 / mse))


def _mean_and_most(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), max(values)
