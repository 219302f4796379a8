"""``granet-export sensitivity``: measures the drop per quantised layer and finds the layers to keep."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from export.commands.options import model_argument
from export.commands.quantize import JudgingOptions, PrecisionChoice
from granet.app.command import Json
from granet.app.console import UsageError, say
from granet.app.extras import require, require_export_extra
from granet.app.progress import labelled, terminal_progress
from granet.app.schema import to_json
from runtime.sinks.part_file import check_file


@dataclass(frozen=True, kw_only=True)
class SensitivityOptions(JudgingOptions):
    """Options of ``granet-export sensitivity``."""

    results: ClassVar[tuple[str, ...]] = (".json",)

    model: Annotated[
        Path,
        model_argument("ONNX model in float32, made by granet-export onnx"),
    ]
    table: Annotated[Path, typer.Option(help="Calibration table of MODEL.")]
    precision: Annotated[PrecisionChoice, typer.Option(help="Precision of the layers: int8 or fp8.")] = (
        PrecisionChoice.int8
    )
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Sensitivity file; one that exists is continued (default: MODEL's name with "
            ".sensitivity.json, here).",
        ),
    ] = None
    plot: Annotated[
        Path | None, typer.Option(help="PNG file of the plot (default: beside the sensitivity file).")
    ] = None
    budget_db: Annotated[
        float, typer.Option("--budget-db", min=0.001, help="Allow a mean drop in PSNR of N dB.")
    ] = 0.1
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing plot.")] = False
    as_json: Json = False


def sensitivity(options: SensitivityOptions) -> None:
    """Quantise one layer at a time and measure the drop.

    Then find the fewest layers to keep. The output is written after each layer. Run the command again to
    continue after an interruption.
    """
    require_export_extra()
    from calibration.search.meet_budget import measured, open_subject, require_quantisable, search
    from calibration.table import open_table
    from export.reports.kept_cost import kept_cost
    from export.reports.sensitivity import print_sensitivity, sensitivity_json
    from export.reports.sensitivity_plot import plot_sensitivity
    from runtime.artefacts.artefact import read_model

    if options.precision is PrecisionChoice.fp16:
        raise UsageError(
            "--precision fp16 quantises no layer, and sensitivity is of layers: give int8 or fp8"
        )
    require("drawing the plot", "matplotlib")  # not after hours of measuring
    judging = options.judging(options.precision)
    path = options.output or Path(f"{options.model.stem}.sensitivity.json")
    picture = options.plot or path.with_suffix(".png")
    inputs = (options.model, options.table)
    check_file(path, inputs, overwrite=True)  # what is there is continued, or refused
    if picture.resolve() == path.resolve():
        raise UsageError(f"--plot {picture}: is the sensitivity file too; give each a name of its own")
    check_file(picture, inputs, overwrite=options.overwrite)
    model, table = read_model(options.model), open_table(options.table)
    require_quantisable(model, table, judging, path)
    with terminal_progress("sensitivity") as progress:
        subject = open_subject(model, table, judging, progress)
        record = measured(subject, path, progress)
        kept = search(subject, record, subject.spared, options.budget_db, labelled(progress, "search"))
        progress(1, 1, "what the kept layers cost")
        cost = kept_cost(subject, kept)
    result = sensitivity_json(record, subject.judge, kept, options.budget_db, cost)
    if options.as_json:
        sys.stdout.write(to_json(result, indent=2) + "\n")
    else:
        print_sensitivity(result, model.path.name)
    how = f"{options.precision.value} for {options.target.value}"
    plot_sensitivity(result, picture, f"{model.path.name}, {how}", overwrite=options.overwrite)
    say(f"{path} has every figure, {picture} the plot; granet-export quantize --sensitivity {path} uses them")
