"""Parity: how far an engine is from the untouched network in PyTorch, and whether that is allowed.

Guided unpooling is discontinuous: where two of four values are equal but for rounding, another
computation picks the other one and moves a value by a pixel. So engines are held to a PSNR and to
the share of values that differ, and not to a largest difference, which is reported.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from granet.errors import UserError
from runtime.checks.parity_cases import ParityCase
from runtime.engines.base import Engine
from runtime.media.frame import Pixels

IDENTICAL_DB = 100.0
"""PSNR is counted up to here; equal frames have it too. One value of a 1080p frame off by one is 116 dB."""


@dataclass(frozen=True)
class ParityBudget:
    """What is allowed between an engine and PyTorch.

    Attributes:
        mean_db: least PSNR in the mean over the pictures, dB.
        min_db: least PSNR of any picture, dB.
        share: largest share of all values of the pictures that may be off by more than one level.
        hard_db: least PSNR of any hard case, dB. In flat areas every window is a near-tie, so that
            rounding may move all of them at once; a wrong graph is below 30 dB.
    """

    mean_db: float
    min_db: float
    share: float
    hard_db: float


BUDGETS = {
    "fp32": ParityBudget(mean_db=90.0, min_db=60.0, share=1e-4, hard_db=50.0),
    "fp16": ParityBudget(mean_db=58.0, min_db=55.0, share=5e-3, hard_db=50.0),
    # What tells a right graph from a wrong one; what eight bits may cost, granet-export quantize holds.
    "int8": ParityBudget(mean_db=45.0, min_db=40.0, share=0.2, hard_db=25.0),
    "fp8": ParityBudget(mean_db=43.0, min_db=38.0, share=0.3, hard_db=25.0),
}
"""By the precision that a model says it has."""


def budget_for(precision: str, **overrides: float | None) -> ParityBudget:
    """The budget of a precision, with what the user set instead.

    Raises:
        UserError: for a precision that has none.
    """
    if precision not in BUDGETS:
        raise UserError(f"there is no parity budget for precision {precision!r}: {', '.join(BUDGETS)}")
    return overridden(BUDGETS[precision], **overrides)


def overridden(budget: ParityBudget, **overrides: float | None) -> ParityBudget:
    """``budget`` with the fields in ``overrides`` that are not ``None``."""
    return replace(budget, **{name: value for name, value in overrides.items() if value is not None})


@dataclass(frozen=True)
class CaseParity:
    """Two engines on one case.

    Attributes:
        name: of the case.
        hard: whether it was chosen to go wrong.
        psnr_db: of the engine's frames to PyTorch's, at most :data:`IDENTICAL_DB`.
        off_by_more_than_1: values that differ by more than one level.
        values: how many there are.
        largest: largest difference, in levels.
    """

    name: str
    hard: bool
    psnr_db: float
    off_by_more_than_1: int
    values: int
    largest: int


@dataclass(frozen=True)
class ParityReport:
    """All cases against the budget.

    Attributes:
        model: description of the engine.
        reference: description of what it was held against.
        budget: what is allowed.
        cases: one by one.
    """

    model: str
    reference: str
    budget: ParityBudget
    cases: tuple[CaseParity, ...]

    @property
    def pictures(self) -> list[CaseParity]:
        """The cases that are pictures; of hard ones alone, those."""
        return [case for case in self.cases if not case.hard] or list(self.cases)

    @property
    def share(self) -> float:
        """Share of the pictures' values that are off by more than one level."""
        return sum(c.off_by_more_than_1 for c in self.pictures) / sum(c.values for c in self.pictures)

    @property
    def mean_db(self) -> float:
        """PSNR in the mean over the pictures, dB."""
        return sum(case.psnr_db for case in self.pictures) / len(self.pictures)

    @property
    def worst(self) -> CaseParity:
        """The picture of the least PSNR."""
        return min(self.pictures, key=lambda case: case.psnr_db)

    def misses(self) -> list[str]:
        """What is over budget, in words; nothing if parity holds."""
        budget, found = self.budget, []
        if self.mean_db < budget.mean_db:
            found.append(f"mean {self.mean_db:.1f} dB, at least {budget.mean_db:g} asked")
        if self.worst.psnr_db < budget.min_db:
            found.append(f"{self.worst.name} {self.worst.psnr_db:.1f} dB, at least {budget.min_db:g} asked")
        if self.share > budget.share:
            found.append(
                f"{self.share:.1e} of the values off by more than 1, at most {budget.share:g} allowed"
            )
        for case in self.cases:
            if case.hard and case.psnr_db < budget.hard_db:
                found.append(f"{case.name} {case.psnr_db:.1f} dB, at least {budget.hard_db:g} asked")
        return found

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; the figures in all are those of the pictures."""
        return {
            "passed": not self.misses(),
            "psnr_db": {"min": round(self.worst.psnr_db, 3), "mean": round(self.mean_db, 3)},
            "pixels_off_by_more_than_1": self.share,
            "largest": max(case.largest for case in self.pictures),
            "misses": self.misses(),
            "budget": asdict(self.budget),
            "model": self.model,
            "reference": self.reference,
            "images": [asdict(case) for case in self.cases],
        }


def measure_parity(
    reference: Engine,
    engine: Engine,
    cases: Iterable[ParityCase],
    budget: ParityBudget,
    progress: Callable[[CaseParity], None] = lambda case: None,
) -> ParityReport:
    """Runs both engines on every case.

    Args:
        reference: the network in PyTorch.
        engine: what is held against it; of the same colour order.
        cases: what to run.
        budget: what is allowed.
        progress: called after each case.

    Raises:
        UserError: if the colour orders differ or there are no cases.
    """
    if reference.info.colour != engine.info.colour:
        raise UserError(f"colour order differs: {reference.info.colour} and {engine.info.colour}")
    results = []
    for case in cases:
        result = _compare(case, reference.run(case.frames), engine.run(case.frames))
        results.append(result)
        progress(result)
    if not results:
        raise UserError("there is nothing to compare on")
    return ParityReport(engine.info.description, reference.info.description, budget, tuple(results))


def _compare(case: ParityCase, expected: Pixels, found: Pixels) -> CaseParity:
    difference = np.abs(expected.astype(np.int16) - found.astype(np.int16))
    mse = float(np.mean(difference.astype(np.float64) ** 2))
    psnr = IDENTICAL_DB if mse == 0 else min(IDENTICAL_DB, 10 * math.log10(255**2 / mse))
    off = int(np.count_nonzero(difference > 1))
    return CaseParity(case.name, case.hard, psnr, off, difference.size, int(difference.max()))
