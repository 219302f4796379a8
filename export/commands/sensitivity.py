"""``granet-export sensitivity``: what quantising each layer costs, and which to keep for a budget."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from export.commands.quantize import PrecisionChoice, TargetChoice
from granet.app.console import DebugOption, UsageError, say
from granet.app.extras import require_export_extra
from granet.app.progress import progress_line
from runtime.sinks.part_file import check_file


def sensitivity(
    model: Annotated[Path, typer.Argument(help="ONNX file in float32, of granet-export onnx.")],
    table: Annotated[Path, typer.Option(help="Calibration table of MODEL.")],
    target: Annotated[TargetChoice, typer.Option(help="As for quantize.")] = TargetChoice.tensorrt,
    precision: Annotated[PrecisionChoice, typer.Option(help="int8 or fp8.")] = PrecisionChoice.int8,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="By default MODEL's name and .sensitivity.json, here."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG; by default beside the output.")] = None,
    budget_db: Annotated[
        float, typer.Option("--budget-db", min=0.001, help="Allowed drop in PSNR, in the mean, dB.")
    ] = 0.1,
    data: Annotated[str | None, typer.Option(help="Pairs, with truth: rain800:DIR, ...")] = None,
    images: Annotated[Path | None, typer.Option(help="Rain without truth.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures to judge by.")] = 8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing plot.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    debug: DebugOption = False,
) -> None:
    """Quantise one layer at a time and measure the drop; then search the fewest layers to keep.

    The output is written after each layer: run again after an interruption, it continues.
    """
    require_export_extra()
    from calibration.search.meet_budget import measured, open_subject, search
    from export.reports.kept_cost import kept_cost
    from export.reports.sensitivity import print_sensitivity, sensitivity_json
    from export.reports.sensitivity_plot import plot_sensitivity

    if data is not None and images is not None:
        raise UsageError("--data has truth and --images has none: give one of them")
    if precision is PrecisionChoice.fp16:
        raise UsageError("--precision fp16 quantises no layer: give int8 or fp8")
    path = output or Path(f"{model.stem}.sensitivity.json")
    picture = plot or path.with_suffix(".png")
    check_file(path, (model, table), overwrite=True)  # what is there is continued, or refused
    check_file(picture, (model, table), overwrite=overwrite)
    with progress_line("sensitivity", total=1.0) as show:
        subject = open_subject(
            model, table, target.value, precision.value, data, images, count, lambda s, last: show(s, last)
        )
        record = measured(subject, path, show)
        kept = search(subject, record, subject.spared, budget_db, lambda s, last: show(s, f"search: {last}"))
        show(1.0, "what the kept layers cost")
        cost = kept_cost(subject, kept)
    result = sensitivity_json(record, subject.judge, kept, budget_db, cost)
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        print_sensitivity(result, model.name)
    plot_sensitivity(result, picture, f"{model.name}, {precision.value} for {target.value}")
    say(f"{path} has every figure, {picture} the plot; granet-export quantize --sensitivity {path} uses them")
