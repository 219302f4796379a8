"""The quantisation step: a float32 model and its calibration table -> a quantised model within its budget."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.search.meet_budget import Judging, Result, meet_budget, open_subject
from calibration.table import Table
from export.onnx.save_quantised import save_quantised
from granet.app.console import say
from granet.app.progress import terminal_progress
from runtime.artefacts.artefact import Model


@dataclass(frozen=True)
class QuantiseStep:
    """A quantised model to be made.

    Attributes:
        output: the ONNX file.
        judging: how it is quantised, and what it is judged on.
        budget_db: allowed mean drop in PSNR, dB; that of the precision if ``None``.
        sensitivity: file of ``granet-export sensitivity`` that a search uses and keeps; none if ``None``.
    """

    output: Path
    judging: Judging
    budget_db: float | None = None
    sensitivity: Path | None = None

    def run(
        self, model: Model, table: Table | None, tell: Callable[[Result], None] = lambda result: None
    ) -> Model:
        """Quantises; ``tell`` gets what was measured, also where that misses the budget.

        Raises:
            ParityError: if it loses more than the budget allows; it is not written.
            UserError: for a table of another model, or pictures that cannot be read.
        """
        say(f"quantising {model.path} to {self.output}")
        with terminal_progress("quantising") as progress:
            subject = open_subject(model, table, self.judging, progress)
            result = meet_budget(subject, self.budget_db, self.sensitivity, progress)
        tell(result)
        made = save_quantised(self.output, subject, result)
        if self.sensitivity is not None and not result.searched:
            say(f"note: --sensitivity {self.sensitivity} was not needed: the budget is met without a search")
        _report(made, result, len(subject.quantiser.layers))
        return made


def _report(made: Model, result: Result, layers: int) -> None:
    report, how = result.report, made.metadata.quantisation
    mean, least = report.psnr_db
    drops = [
        f"{average:+.3f} dB in the mean and {most:+.3f} at worst ({name})"
        for name, (average, most) in report.drops().items()
    ]
    say(
        f"{made.path}: {len(made.content) / 1e6:.1f} MB, {made.metadata.precision} for {how['target']}; "
        f"{len(result.kept)} of {layers} layers kept in {how['elsewhere']} "
        f"({result.kept_share:.0%} of the convolutions' arithmetic)"
    )
    say(
        f"over {len(report.pictures)} pictures, simulated: PSNR to float32 {mean:.1f} dB in the mean, "
        f"{least:.1f} at worst; drop {', '.join(drops)}"
    )
