"""The limits of a parity check: the same options and defaults for every command that measures it."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from granet.app.command import Options
from runtime.checks.parity import BUDGETS, ParityBudget, budget_for


def _limit(name: str, what: str) -> typer.models.OptionInfo:
    """The option for one field of a budget; its help states the default of each precision."""
    defaults = ", ".join(f"{precision} {asdict(budget)[name]:g}" for precision, budget in BUDGETS.items())
    option: typer.models.OptionInfo = typer.Option(help=f"{what} (default: {defaults}).")
    return option


@dataclass(frozen=True, kw_only=True)
class BudgetOptions(Options):
    """How much a model may differ from PyTorch."""

    mean_db: Annotated[float | None, _limit("mean_db", "Require a mean PSNR to PyTorch of N dB")] = None
    min_db: Annotated[float | None, _limit("min_db", "Require a PSNR of N dB for every picture")] = None
    share: Annotated[float | None, _limit("share", "Allow this share of values off by more than 1")] = None
    hard_db: Annotated[float | None, _limit("hard_db", "Require a PSNR of N dB for every hard case")] = None

    def budget(self, precision: str) -> ParityBudget:
        """The budget of a precision, with the user's limits in place of the defaults."""
        return budget_for(
            precision, mean_db=self.mean_db, min_db=self.min_db, share=self.share, hard_db=self.hard_db
        )
