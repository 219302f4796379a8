"""``granet-export onnx``: a checkpoint to an ONNX file that has shown its parity.

The file is written under another name, opened as a user's engine would be, held against the
network in PyTorch, and only then given its name and its manifest.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Literal

import onnx
import torch
from torch import nn

from export.onnx.save import partial_path, save_model
from export.onnx.translate import DEFAULT_OPSET, SUPPORTED_OPSETS, translate
from export.onnx.wrappers import ExportedStages, FramesGraph, TensorGraph
from granet.checkpoint import Checkpoint, load_checkpoint, read_checkpoint
from granet.errors import ParityError, UserError
from granet.model import GraNet
from granet.size_rule import Size
from runtime.artefacts.manifest import sha256_of, write_manifest
from runtime.artefacts.metadata import Layout, ModelMetadata
from runtime.checks.parity import BUDGETS, CaseParity, ParityBudget, ParityReport, measure_parity
from runtime.checks.parity_cases import ParityCase, hard_cases, sizes_for, synthetic_rain
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour
from runtime.open import open_engine

Precision = Literal["fp32", "fp16"]

GATES = BUDGETS | {"fp32": ParityBudget(mean_db=60.0, min_db=50.0, share=1e-3, hard_db=40.0)}
"""What an export must reach to get its name, by precision.

In float32 that is what tells a right graph from a wrong one (which is below 40 dB) whatever the
weights: an untrained ``paper`` network comes to 69 dB in the mean and 45 on constant frames, because
its maxima are nearly equal everywhere. The budget of a trained network is ``granet-export parity``'s,
over as many pictures as it takes.
"""

LARGE = 640 * 480
"""Pixels beyond which a few cases must do: PyTorch takes seconds for each."""


@dataclass(frozen=True)
class ExportOptions:
    """What is exported.

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
    precision: Precision = "fp32"
    layout: Layout = "frames"
    colour: Colour = "bgr"
    stages: bool = False
    opset: int = DEFAULT_OPSET
    overwrite: bool = False

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's outputs."""
        return ["derained", "mask", "coarse"] if self.stages else ["derained"]


def export_onnx(
    checkpoint: Path,
    output: Path,
    options: ExportOptions,
    budget: ParityBudget | None = None,
    progress: Callable[[CaseParity], None] = lambda case: None,
) -> ParityReport:
    """Writes ``output`` and its manifest.

    Args:
        checkpoint: of GraNet.
        output: the ONNX file to make; its directory exists.
        options: what is exported.
        budget: parity asked for; by default that of :data:`GATES`.
        progress: called after each case of the parity check.

    Returns:
        The parity that was measured.

    Raises:
        ParityError: if the file differs from PyTorch by more than the budget; nothing is written.
        UserError: for a bad checkpoint, option or destination; nothing is written.
    """
    _check(output, options)
    loaded = read_checkpoint(checkpoint)
    model = load_checkpoint(checkpoint)
    metadata = _metadata(checkpoint, loaded, options)
    with partial_path(output) as partial:
        save_model(build_model(model, options), metadata, partial)
        report = _check_parity(checkpoint, partial, metadata, budget or GATES[options.precision], progress)
        digest = sha256_of(partial)
        partial.replace(output)
    try:
        write_manifest(output, digest, metadata, report.to_json())
    except UserError:
        output.unlink()  # a model without its manifest would be half an export
        raise
    return report


def _check(output: Path, options: ExportOptions) -> None:
    if output.suffix != ".onnx":
        raise UserError(f"{output}: the name of an ONNX file ends in .onnx")
    if not output.parent.is_dir():
        raise UserError(f"{output}: there is no directory {output.parent}")
    if output.exists() and not options.overwrite:
        raise UserError(f"{output} exists: give --overwrite or another name with -o")
    if options.opset not in SUPPORTED_OPSETS:
        first, last = SUPPORTED_OPSETS[0], SUPPORTED_OPSETS[-1]
        raise UserError(f"opset {options.opset}: TensorRT and this export support {first} to {last}")
    if find_spec("onnxruntime") is None:
        raise UserError('the export is checked with ONNX Runtime: pip install "granet-deploy[cpu]"')


def _metadata(path: Path, checkpoint: Checkpoint, options: ExportOptions) -> ModelMetadata:
    rule = checkpoint.config.size_rule
    height, width = (None, None) if options.size is None else rule.padded_size(*options.size)
    return ModelMetadata(
        config=asdict(checkpoint.config),
        checkpoint=path.name,
        checkpoint_sha256=sha256_of(path),
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
        weights=checkpoint.facts,
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
    checkpoint: Path,
    model: Path,
    metadata: ModelMetadata,
    budget: ParityBudget,
    progress: Callable[[CaseParity], None],
) -> ParityReport:
    with (
        open_engine(checkpoint, "cpu", colour=metadata.colour) as reference,
        open_engine(model, "cpu", "onnxruntime") as engine,
    ):
        report = measure_parity(reference, engine, _cases(engine.info.fit), budget, progress)
    if report.misses():
        raise ParityError(
            f"parity missed, nothing written: {'; '.join(report.misses())} "
            "(--mean-db, --min-db, --share and --hard-db set other limits)"
        )
    return report


def _cases(fit: FrameFit) -> Iterable[ParityCase]:
    """Rain and hard cases at the sizes of the graph; few where a frame takes PyTorch seconds."""
    sizes = sizes_for(fit, ())
    if sizes[0][0] * sizes[0][1] > LARGE:
        return synthetic_rain(sizes[0], count=2)
    rain = chain.from_iterable(synthetic_rain(size) for size in sizes)
    return chain(rain, hard_cases(sizes[min(1, len(sizes) - 1)]))
