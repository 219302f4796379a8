"""Arguments and options that several commands of ``granet-export`` share.

``MODEL`` is the path of a file, or the name of a packaged model.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from granet.app.command import Options
from granet.weights.file_names import ENDINGS
from granet.weights.packaged import named_checkpoint
from runtime.checks.parity import BUDGETS, ParityBudget, budget_for

OR_NAME = "or a packaged model (lite, base)"
"""For the help of an argument."""


def named_model(given: str) -> Path:
    """The path itself, or the packaged ONNX model in float32 of that name; for ``typer.Argument(parser=)``.

    Raises:
        UsageError: if it is a bare name that neither a file nor a packaged model has.
        UserError: if this version does not have the packaged model.
    """
    from runtime.model_option import is_packaged_name
    from runtime.models.packaged import PRESETS, packaged_model

    path = Path(given)
    is_folder = path.is_dir() and given in PRESETS  # no model, so the name is meant
    if (path.exists() and not is_folder) or not is_packaged_name(given, "MODEL"):
        return path
    return packaged_model(given, "cpu", "onnxruntime", "MODEL")


def model_argument(what: str, metavar: str = "MODEL") -> typer.models.ArgumentInfo:
    """The argument of a command that takes one model: ``what`` it may be besides a name, for the help."""
    argument: typer.models.ArgumentInfo = typer.Argument(
        parser=named_model, metavar=metavar, help=f"{what}, {OR_NAME}."
    )
    return argument


Checkpoint = Annotated[
    Path,
    typer.Option(
        "--ckpt",
        parser=named_checkpoint,
        help=f"Checkpoint of GraNet: {', '.join(ENDINGS)} (granet-export inspect shows its names), or a "
        "packaged one (lite, base).",
    ),
]


def _limit(name: str, what: str, most: float | None = None) -> typer.models.OptionInfo:
    """The option for one field of a budget; its help states the default of each precision."""
    defaults = ", ".join(f"{precision} {asdict(budget)[name]:g}" for precision, budget in BUDGETS.items())
    option: typer.models.OptionInfo = typer.Option(min=0, max=most, help=f"{what} (default: {defaults}).")
    return option


@dataclass(frozen=True, kw_only=True)
class BudgetOptions(Options):
    """Limits of a parity check: the same options and defaults for every command that measures it."""

    mean_db: Annotated[float | None, _limit("mean_db", "Require a mean PSNR to PyTorch of N dB")] = None
    min_db: Annotated[float | None, _limit("min_db", "Require a PSNR of N dB for every picture")] = None
    share: Annotated[
        float | None, _limit("share", "Allow this share of values off by more than 1", most=1)
    ] = None
    hard_db: Annotated[float | None, _limit("hard_db", "Require a PSNR of N dB for every hard case")] = None

    def budget(self, precision: str) -> ParityBudget:
        """The budget of a precision, with the user's limits in place of the defaults."""
        return budget_for(
            precision, mean_db=self.mean_db, min_db=self.min_db, share=self.share, hard_db=self.hard_db
        )
