"""Parity: compares an engine with the unmodified network in PyTorch, against a budget.

Guided unpooling is discontinuous: if two of four values differ only by rounding, another computation may
pick the other one, which moves a value by a pixel. So the budget limits the PSNR and the share of differing
values. The largest difference is only reported.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from granet.evaluation.metrics import psnr
from runtime.checks.parity_cases import ParityCase
from runtime.engines.base import Engine
from runtime.media.frame import Pixels


@dataclass(frozen=True)
class ParityBudget:
    """The allowed difference between an engine and PyTorch.

    Attributes:
        mean_db: least mean PSNR over the pictures, in dB.
        min_db: least PSNR of any picture, in dB.
        share: largest share of all values of the pictures that may be off by more than one level.
        hard_db: least PSNR of any hard case, in dB. In flat areas every window is a near-tie, so
            rounding may move all of them at once; a wrong graph is below 30 dB.
    """

    mean_db: float
    min_db: float
    share: float
    hard_db: float


BUDGETS = {
    # An untrained ``paper`` network comes to 69 dB in the mean and 45 on constant frames, because its maxima
    # are nearly equal everywhere; a wrong graph is below 40 dB.
    "fp32": ParityBudget(mean_db=60.0, min_db=50.0, share=1e-3, hard_db=40.0),
    "fp16": ParityBudget(mean_db=58.0, min_db=55.0, share=5e-3, hard_db=50.0),
    # Only separates a correct graph from a wrong one; granet-export quantize limits the loss of 8 bits.
    "int8": ParityBudget(mean_db=45.0, min_db=40.0, share=0.2, hard_db=25.0),
    "fp8": ParityBudget(mean_db=43.0, min_db=38.0, share=0.3, hard_db=25.0),
}
"""Precision of a model -> budget that separates a correct engine from a wrong one, whatever the weights."""

# On Rain100L, PyTorch in float32 is 83 to 89 dB from PyTorch in float64 with the packaged ``lite``, so no
# runtime can be asked for more.
TRAINED = BUDGETS | {"fp32": ParityBudget(mean_db=80.0, min_db=60.0, share=1e-4, hard_db=50.0)}
"""Parity expected of a trained network. A lower one gets a note and does not fail."""


def budget_for(precision: str, **overrides: float | None) -> ParityBudget:
    """The budget of a precision, with the user's overrides.

    Raises:
        UserError: if the precision has no budget.
    """
    if precision not in BUDGETS:
        raise UserError(f"there is no parity budget for precision {precision!r}: {', '.join(BUDGETS)}")
    given = {name: value for name, value in overrides.items() if value is not None}
    return replace(BUDGETS[precision], **given)


@dataclass(frozen=True)
class CaseParity:
    """The comparison of two engines on one case.

    Attributes:
        name: name of the case.
        hard: whether it is a hard case.
        psnr_db: PSNR of the engine's frames against PyTorch's in dB, at most 100.
        off_by_more_than_1: number of values that differ by more than one level.
        values: number of all values.
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
    """The comparisons of all cases, with the budget.

    Attributes:
        model: description of the engine.
        reference: description of the reference.
        budget: the allowed difference.
        cases: the comparison of each case.
    """

    model: str
    reference: str
    budget: ParityBudget
    cases: tuple[CaseParity, ...]

    @property
    def pictures(self) -> list[CaseParity]:
        """The cases that are pictures, or all cases if there are only hard ones."""
        return [case for case in self.cases if not case.hard] or list(self.cases)

    @property
    def share(self) -> float:
        """Share of the pictures' values that are off by more than one level."""
        return sum(c.off_by_more_than_1 for c in self.pictures) / sum(c.values for c in self.pictures)

    @property
    def mean_db(self) -> float:
        """Mean PSNR over the pictures, in dB."""
        return sum(case.psnr_db for case in self.pictures) / len(self.pictures)

    @property
    def worst(self) -> CaseParity:
        """The picture with the lowest PSNR."""
        return min(self.pictures, key=lambda case: case.psnr_db)

    def misses(self) -> list[str]:
        """One text per violation of the budget; empty if parity holds."""
        budget, found = self.budget, []
        if self.mean_db < budget.mean_db:
            found.append(f"mean {self.mean_db:.1f} dB, at least {budget.mean_db:g} required")
        if self.worst.psnr_db < budget.min_db:
            found.append(
                f"{self.worst.name} {self.worst.psnr_db:.1f} dB, at least {budget.min_db:g} required"
            )
        if self.share > budget.share:
            found.append(
                f"{self.share:.1e} of the values off by more than 1, at most {budget.share:g} allowed"
            )
        for case in self.cases:
            if case.hard and case.psnr_db < budget.hard_db:
                found.append(f"{case.name} {case.psnr_db:.1f} dB, at least {budget.hard_db:g} required")
        return found

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; overall figures cover only the pictures."""
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


def in_short(misses: Sequence[str]) -> str:
    """The first violation of a budget and the number of the others, for a message of one line."""
    more = f", and {len(misses) - 1} more" if len(misses) > 1 else ""
    return f"{misses[0]}{more}"


def measure_parity(
    reference: Engine,
    engine: Engine,
    cases: Iterable[ParityCase],
    budget: ParityBudget,
    progress: Progress = no_progress,
) -> ParityReport:
    """Runs both engines on every case.

    Args:
        reference: the network in PyTorch.
        engine: the engine to compare, with the same colour order.
        cases: the cases to run.
        budget: the allowed difference.
        progress: called after each case.

    Raises:
        UserError: if the colour orders differ or there are no cases.
    """
    if reference.info.colour != engine.info.colour:
        raise UserError(f"the colour orders differ: {reference.info.colour} and {engine.info.colour}")
    results = []
    for case in cases:
        result = _compare(case, reference.run(case.frames), engine.run(case.frames))
        results.append(result)
        progress(len(results), None, f"{result.name} {result.psnr_db:.1f} dB")
    if not results:
        raise UserError("there are no cases to compare")
    return ParityReport(engine.info.description, reference.info.description, budget, tuple(results))


def _compare(case: ParityCase, expected: Pixels, found: Pixels) -> CaseParity:
    difference = np.abs(expected.astype(np.int16) - found.astype(np.int16))
    off = int(np.count_nonzero(difference > 1))
    return CaseParity(
        case.name, case.hard, psnr(found, expected), off, difference.size, int(difference.max())
    )
