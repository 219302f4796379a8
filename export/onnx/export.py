"""``granet-export onnx``: exports a checkpoint to an ONNX file with verified parity.

The file is written under a temporary name, opened like a user's engine and compared with the network in
PyTorch. Only then does it get its name and its manifest.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import onnx
import torch
from torch import nn

from export.onnx.checkpoint_file import CheckpointFile
from export.onnx.opsets import DEFAULT_OPSET
from export.onnx.save import save_model
from export.onnx.translate import translate
from export.onnx.wrappers import ExportedStages, FramesGraph, TensorGraph
from granet import __version__
from granet.app.console import UsageError, say
from granet.app.extras import require
from granet.app.progress import Progress, no_progress, terminal_progress
from granet.app.run_details import installed
from granet.errors import ParityError, UserError
from granet.model import GraNet
from granet.size_rule import Size
from granet.training.recipe import shareable_facts
from runtime.artefacts.artefact import Model
from runtime.artefacts.metadata import MAP, Layout, ModelMetadata
from runtime.checks.parity import TRAINED, ParityBudget, ParityReport, budget_for, in_short, measure_parity
from runtime.checks.parity_cases import ParityCase, hard_cases, sizes_for, synthetic_rain
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour
from runtime.open import open_engine
from runtime.sinks.part_file import check_parent

FloatPrecision = Literal["fp32", "fp16"]
"""Precision of an unquantised model."""

LARGE = 640 * 480
"""Frame size in pixels above which only a few cases run: PyTorch takes seconds for each."""


@dataclass(frozen=True)
class ExportOptions:
    """Settings of an export.

    Attributes:
        size: (height, width) in pixels of the frames of a static graph, whose sides the padding
            rule rounds up; ``None`` for a graph with dynamic batch, height and width.
        precision: precision of the two stages; the picture stays float32.
        layout: ``frames`` or ``tensor``.
        colour: channel order of frames; tensors are RGB.
        stages: whether to output the mask and the coarse result too.
        opset: ONNX opset.
        overwrite: whether to replace an existing file.
    """

    size: Size | None = (320, 480)
    precision: FloatPrecision = "fp32"
    layout: Layout = "frames"
    colour: Colour = "bgr"
    stages: bool = False
    opset: int = DEFAULT_OPSET
    overwrite: bool = False

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's outputs."""
        return ["derained", "mask", "coarse"] if self.stages else ["derained"]


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        model: the ONNX file.
        report: its parity with PyTorch.
    """

    model: Model
    report: ParityReport


def export_onnx(
    checkpoint: CheckpointFile,
    output: Path,
    options: ExportOptions,
    budget: ParityBudget | None = None,
    progress: Progress = no_progress,
) -> Exported:
    """Writes ``output`` and its manifest.

    Args:
        checkpoint: the checkpoint to export.
        output: the ONNX file to write, checked by :func:`check_export`.
        options: settings of the export.
        budget: parity budget; ``None`` for the default of the precision.
        progress: called after each case of the parity check.

    Raises:
        ParityError: if the file differs from PyTorch by more than the budget; nothing is written.
        UserError: if the size is too small or the file cannot be written; nothing is left then.
    """
    metadata = exported_metadata(checkpoint, options)
    proto = build_model(checkpoint.network(), options)
    with save_model(proto, metadata, output, overwrite=options.overwrite) as unproved:
        report = _check_parity(
            checkpoint, unproved.path, metadata, budget or budget_for(options.precision), progress
        )
        model = unproved.publish(report.to_json())
    return Exported(model, report)


def check_export(output: Path, options: ExportOptions) -> None:
    """Checks an export before the work starts.

    Raises:
        UsageError: if the name does not end in .onnx.
        UserError: if the directory or the installation cannot be used.
    """
    if output.suffix != ".onnx":
        raise UsageError(f"--output {output}: the name of an ONNX file ends in .onnx")
    check_parent(output)
    if output.exists() and not options.overwrite:
        raise UserError(f"{output} exists: give --overwrite or another name with -o")
    require("checking the export", "onnxruntime")


def exported_metadata(checkpoint: CheckpointFile, options: ExportOptions) -> ModelMetadata:
    """Metadata of the exported file.

    Raises:
        UserError: if the size is too small for the network.
    """
    config = checkpoint.checkpoint.config
    rule = config.size_rule
    height, width = (None, None) if options.size is None else rule.padded_size(*options.size)
    return ModelMetadata(
        config=asdict(config),
        checkpoint=checkpoint.path.name,
        checkpoint_sha256=checkpoint.sha256,
        precision=options.precision,
        layout=options.layout,
        colour=options.colour if options.layout == "frames" else "rgb",
        multiple=rule.multiple,
        extent=rule.extent,
        height=height,
        width=width,
        batch=None if options.size is None else 1,
        outputs=options.outputs,
        versions={"granet-deploy": __version__} | installed(("torch", "onnx", "onnxscript")),
        weights=shareable_facts(checkpoint.checkpoint.facts)
        | ({MAP: list(checkpoint.renames)} if checkpoint.renames else {}),
    )


def build_model(model: GraNet, options: ExportOptions) -> onnx.ModelProto:
    """Builds the ONNX model in memory, without metadata and without a parity check."""
    stages = ExportedStages(model, torch.float16 if options.precision == "fp16" else torch.float32)
    # torch would treat a traced batch of 1 as a constant.
    batch = 2 if options.size is None else 1
    rule = model.config.size_rule
    # Of a dynamic graph: sides that differ and are no single multiple, which torch takes for constants.
    example_size = max(64, 2 * rule.multiple), max(80, 3 * rule.multiple)
    height, width = rule.padded_size(*(options.size or example_size))
    graph: nn.Module
    if options.layout == "frames":
        graph, axes = FramesGraph(stages, options.colour, options.stages), (1, 2)
        example = torch.zeros(batch, height, width, 3, dtype=torch.uint8)
    else:
        graph, axes = TensorGraph(stages, options.stages), (2, 3)
        example = torch.zeros(batch, 3, height, width)
    dynamic_axes = axes if options.size is None else None
    return translate(
        graph.eval(), example, dynamic_axes, model.config.size_rule.multiple, options.outputs, options.opset
    )


def _check_parity(
    checkpoint: CheckpointFile,
    model: Path,
    metadata: ModelMetadata,
    budget: ParityBudget,
    progress: Progress,
) -> ParityReport:
    with (
        open_engine(checkpoint.copy, "cpu", colour=metadata.colour) as reference,
        open_engine(model, "cpu", "onnxruntime") as engine,
    ):
        report = measure_parity(reference, engine, _cases(engine.info.fit), budget, progress)
    if report.misses():
        raise ParityError(
            f"parity missed, nothing written: {in_short(report.misses())} "
            "(granet-export onnx --mean-db, --min-db, --share and --hard-db set other limits)"
        )
    return report


def note_shortfall(report: ParityReport, precision: str) -> None:
    """Prints a note if a model meets its budget, but not the one of trained networks."""
    short = replace(report, budget=TRAINED[precision]).misses()
    if short and not report.misses():
        say(f"note: a trained network should be nearer to PyTorch: {in_short(short)}")


def has_hard_cases(height: int, width: int) -> bool:
    """Whether an export of this size is also checked on hard cases."""
    return height * width <= LARGE


def _cases(fit: FrameFit) -> Iterable[ParityCase]:
    """Rain and hard cases at the sizes of the graph; only a few for large frames, which take seconds each."""
    sizes = sizes_for(fit, ())
    if not has_hard_cases(*sizes[0]):
        return synthetic_rain(sizes[0], count=2)
    rain = chain.from_iterable(synthetic_rain(size) for size in sizes)
    return chain(rain, hard_cases(sizes[min(1, len(sizes) - 1)]))


@dataclass(frozen=True)
class ExportStep:
    """An export to run.

    Attributes:
        checkpoint: the checkpoint to export.
        output: the ONNX file.
        options: settings of the export.
        budget: parity budget.
    """

    checkpoint: CheckpointFile
    output: Path
    options: ExportOptions
    budget: ParityBudget

    def check(self) -> ModelMetadata:
        """Checks the export; returns the metadata of the file to come.

        Raises:
            UserError: if the destination, size or an option cannot be used.
        """
        check_export(self.output, self.options)
        return exported_metadata(self.checkpoint, self.options)

    def run(self) -> Model:
        """Runs the export.

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
        """Prints a note if the graph takes larger frames than requested."""
        if self.options.size is None:
            return
        rule = self.checkpoint.checkpoint.config.size_rule
        (height, width), padded = self.options.size, rule.padded_size(*self.options.size)
        if padded != self.options.size:
            say(
                f"note: the network needs multiples of {rule.multiple}; frames of {width}x{height} are "
                f"padded to {padded[1]}x{padded[0]}, the size of the graph"
            )
