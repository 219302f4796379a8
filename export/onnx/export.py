"""``granet-export onnx``: exports a checkpoint to an ONNX file with verified parity.

The file is written under a temporary name, opened like a user's engine and compared with the network in
PyTorch. Only then does it get its name and its manifest.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Literal

import onnx
import torch
from torch import nn

from export.onnx.checkpoint_file import CheckpointFile
from export.onnx.save import save_model
from export.onnx.translate import DEFAULT_OPSET, SUPPORTED_OPSETS, translate
from export.onnx.wrappers import ExportedStages, FramesGraph, TensorGraph
from granet.app.extras import require
from granet.app.progress import Progress, no_progress
from granet.errors import ParityError, UserError
from granet.model import GraNet
from granet.size_rule import Size
from runtime.artefacts.artefact import Model
from runtime.artefacts.metadata import Layout, ModelMetadata
from runtime.checks.parity import ParityBudget, ParityReport, budget_for, measure_parity
from runtime.checks.parity_cases import ParityCase, hard_cases, sizes_for, synthetic_rain
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour
from runtime.open import open_engine
from runtime.sinks.part_file import check_parent

FloatPrecision = Literal["fp32", "fp16"]
"""Precision of a model that is not quantised."""

LARGE = 640 * 480
"""Pixels beyond which only a few cases run: PyTorch takes seconds for each."""


@dataclass(frozen=True)
class ExportOptions:
    """Settings of an export.

    Attributes:
        size: (height, width) in pixels of the frames of a static graph, whose sides the padding
            rule rounds up; ``None`` for a graph with dynamic batch, height and width.
        precision: of the two stages; the picture itself is float32 either way.
        layout: ``frames`` or ``tensor``.
        colour: channel order of frames; tensors are RGB.
        stages: mask and coarse result come out too.
        opset: ONNX opset.
        overwrite: an existing file is replaced.
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
        report: its parity.
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
        checkpoint: of GraNet.
        output: the ONNX file to make; :func:`check_export` allowed it.
        options: what is exported.
        budget: parity asked for; by default that of the precision.
        progress: called after each case of the parity check.

    Raises:
        ParityError: if the file differs from PyTorch by more than the budget; nothing is written.
        UserError: if the size is too small or the file cannot be written; nothing is left then.
    """
    metadata = exported_metadata(checkpoint, options)
    proto = build_model(checkpoint.network(), options)
    with save_model(proto, metadata, output) as unproved:
        report = _check_parity(
            checkpoint, unproved.path, metadata, budget or budget_for(options.precision), progress
        )
        model = unproved.publish(report.to_json())
    return Exported(model, report)


def check_export(output: Path, options: ExportOptions) -> None:
    """Refuses an export before anything is computed for it.

    Raises:
        UserError: if the name, directory, opset or installation cannot be used.
    """
    if output.suffix != ".onnx":
        raise UserError(f"{output}: the name of an ONNX file ends in .onnx")
    check_parent(output)
    if output.exists() and not options.overwrite:
        raise UserError(f"{output} exists: give --overwrite or another name with -o")
    if options.opset not in SUPPORTED_OPSETS:
        first, last = SUPPORTED_OPSETS[0], SUPPORTED_OPSETS[-1]
        raise UserError(f"opset {options.opset}: TensorRT and this export support {first} to {last}")
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
        versions=_versions("granet-deploy", "torch", "onnx", "onnxscript"),
        weights=checkpoint.checkpoint.facts,
    )


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that is not installed
            found[package] = "unknown"
    return found


def build_model(model: GraNet, options: ExportOptions) -> onnx.ModelProto:
    """The ONNX model in memory, without metadata and unchecked."""
    stages = ExportedStages(model, torch.float16 if options.precision == "fp16" else torch.float32)
    # A dynamic batch must not be traced as 1, which torch takes for a constant.
    batch = 2 if options.size is None else 1
    height, width = model.config.size_rule.padded_size(*(options.size or (64, 80)))
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
            f"parity missed, nothing written: {'; '.join(report.misses())} "
            "(granet-export onnx --mean-db, --min-db, --share and --hard-db set other limits)"
        )
    return report


def has_hard_cases(height: int, width: int) -> bool:
    """Whether an export of this size is tried on hard cases too."""
    return height * width <= LARGE


def _cases(fit: FrameFit) -> Iterable[ParityCase]:
    """Rain and hard cases at the sizes of the graph; few where a frame takes PyTorch seconds."""
    sizes = sizes_for(fit, ())
    if not has_hard_cases(*sizes[0]):
        return synthetic_rain(sizes[0], count=2)
    rain = chain.from_iterable(synthetic_rain(size) for size in sizes)
    return chain(rain, hard_cases(sizes[min(1, len(sizes) - 1)]))
