"""The export step: a checkpoint -> an ONNX model with verified parity."""

from dataclasses import dataclass
from pathlib import Path

from export.onnx.checkpoint_file import CheckpointFile
from export.onnx.export import ExportOptions, check_export, export_onnx, exported_metadata
from export.onnx.shortfall import note_shortfall
from granet.app.console import say
from granet.app.progress import terminal_progress
from runtime.artefacts.artefact import Model
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity import ParityBudget


@dataclass(frozen=True)
class ExportStep:
    """An ONNX model to be made.

    Attributes:
        checkpoint: of GraNet.
        output: the ONNX file.
        options: what is exported.
        budget: parity asked for.
    """

    checkpoint: CheckpointFile
    output: Path
    options: ExportOptions
    budget: ParityBudget

    def check(self) -> ModelMetadata:
        """Metadata of the file.

        Raises:
            UserError: if the destination, size or an option cannot be used.
        """
        check_export(self.output, self.options)
        return exported_metadata(self.checkpoint, self.options)

    def run(self) -> Model:
        """Exports.

        Raises:
            ParityError: if the file differs from PyTorch by more than the budget; nothing is written.
            UserError: if it cannot be written.
        """
        say(f"exporting {self.checkpoint.path} to {self.output}")
        self._note_padding()
        with terminal_progress("parity") as progress:
            made = export_onnx(self.checkpoint, self.output, self.options, self.budget, progress)
        report = made.report
        say(
            f"{self.output}: {len(made.model.content) / 1e6:.1f} MB; PSNR to PyTorch {report.mean_db:.1f} dB "
            f"in the mean, {report.worst.psnr_db:.1f} dB at worst, over {len(report.cases)} cases"
        )
        note_shortfall(report, self.options.precision)
        return made.model

    def _note_padding(self) -> None:
        """Says it if the graph takes larger frames than the size that was asked for."""
        if self.options.size is None:
            return
        rule = self.checkpoint.checkpoint.config.size_rule
        (height, width), padded = self.options.size, rule.padded_size(*self.options.size)
        if padded != self.options.size:
            say(
                f"note: the network needs multiples of {rule.multiple}; frames of {width}x{height} are "
                f"padded to {padded[1]}x{padded[0]}, the size of the graph"
            )
