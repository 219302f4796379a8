"""The quantisation step: a float32 model and its calibration table -> a quantised model within its budget."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.search.meet_budget import (
    Judging,
    Result,
    Subject,
    meet_budget,
    open_subject,
    quantised_metadata,
)
from calibration.table import Table
from export.onnx.save import save_model
from granet.app.console import say
from granet.app.progress import terminal_progress
from granet.errors import ParityError
from runtime.artefacts.artefact import Model
from runtime.checks.parity import in_short
from runtime.open import open_engine


@dataclass(frozen=True)
class QuantiseStep:
    """A quantisation to run.

    Attributes:
        output: the ONNX file.
        judging: how to quantise the model, and the pictures to judge it on.
        budget_db: allowed mean drop in PSNR, dB; ``None`` for the default of the precision.
        sensitivity: file of ``granet-export sensitivity`` that a search reads and updates; may be ``None``.
        overwrite: whether an existing file is replaced.
    """

    output: Path
    judging: Judging
    budget_db: float | None = None
    sensitivity: Path | None = None
    overwrite: bool = False

    def run(
        self, model: Model, table: Table | None, report: Callable[[Result], None] = lambda result: None
    ) -> Model:
        """Runs the quantisation.

        Args:
            model: the float32 model.
            table: its calibration table.
            report: called with the measurements, also if they miss the budget.

        Raises:
            ParityError: if the model loses more than the budget allows; nothing is written.
            UserError: if the table is for another model, or a picture cannot be read.
        """
        say(f"quantising {model.path} to {self.output}")
        with terminal_progress("quantising") as progress:
            subject = open_subject(model, table, self.judging, progress)
            result = meet_budget(subject, self.budget_db, self.sensitivity, progress)
        report(result)
        made = _save(self.output, subject, result, overwrite=self.overwrite)
        if self.sensitivity is not None and not result.searched:
            say(f"note: --sensitivity {self.sensitivity} was not needed: the budget is met without a search")
        _report(made, result, len(subject.quantiser.layers))
        return made


def _save(path: Path, subject: Subject, result: Result, *, overwrite: bool) -> Model:
    """Writes ``path`` and its manifest; ``overwrite`` says whether an existing file is replaced.

    Raises:
        ParityError: if the model loses more than its budget; nothing is written.
        UserError: if it cannot be written, or ONNX Runtime cannot load it; nothing is left then.
    """
    if result.report.misses():
        raise ParityError(
            f"nothing written: {in_short(result.report.misses())} (granet-export quantize --budget-db sets "
            "another limit)"
        )
    metadata = quantised_metadata(subject, result)
    with save_model(result.model, metadata, path, overwrite=overwrite) as unproved:
        open_engine(unproved.path, "cpu", "onnxruntime").close()
        return unproved.publish(result.to_json())


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
