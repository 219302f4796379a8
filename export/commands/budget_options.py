"""The limits of a parity check: one set of options and of defaults for all commands that measure it."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from granet.app.command import Options
from runtime.checks.parity import BUDGETS, ParityBudget, budget_for


def _limit(name: str, what: str) -> typer.models.OptionInfo:
    """An option of one field of a budget, whose help states the default of each precision."""
    defaults = ", ".join(f"{precision} {asdict(budget)[name]:g}" for precision, budget in BUDGETS.items())
    option: typer.models.OptionInfo = typer.Option(help=f"{what} (default: {defaults}).")
    return option


@dataclass(frozen=True, kw_only=True)
class BudgetOptions(Options):
    """What a model may differ from PyTorch by."""

    mean_db: Annotated[float | None, _limit("mean_db", "Least mean PSNR to PyTorch, dB")] = None
    min_db: Annotated[float | None, _limit("min_db", "Least PSNR of any picture, dB")] = None
    share: Annotated[float | None, _limit("share", "Largest share of values off by more than 1")] = None
    hard_db: Annotated[float | None, _limit("hard_db", "Least PSNR of any hard case, dB")] = None

    def budget(self, precision: str) -> ParityBudget:
        """The budget of a precision, with what the user set instead."""
        return budget_for(
            precision, mean_db=self.mean_db, min_db=self.min_db, share=self.share, hard_db=self.hard_db
        )
