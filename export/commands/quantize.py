"""``granet-export quantize``: a float32 model and its calibration table -> a model in eight bits."""

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, UsageError, say
from granet.app.extras import require_export_extra
from granet.app.progress import progress_line
from granet.errors import ParityError, UserError
from runtime.sinks.part_file import check_file


class TargetChoice(str, Enum):
    """What runs the file."""

    tensorrt = "tensorrt"
    cpu = "cpu"


class PrecisionChoice(str, Enum):
    """Of the layers that are not kept."""

    int8 = "int8"
    fp8 = "fp8"
    fp16 = "fp16"


def quantize(
    model: Annotated[Path, typer.Argument(help="ONNX file in float32, of granet-export onnx.")],
    table: Annotated[
        Path | None, typer.Option(help="Calibration table of MODEL; --precision fp16 needs none.")
    ] = None,
    target: Annotated[
        TargetChoice,
        typer.Option(help="tensorrt: symmetric, float16 elsewhere. cpu: for OpenVINO and ONNX Runtime."),
    ] = TargetChoice.tensorrt,
    precision: Annotated[PrecisionChoice, typer.Option(help="fp8 is E4M3.")] = PrecisionChoice.int8,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="By default MODEL's name and .int8.onnx, here.")
    ] = None,
    budget_db: Annotated[
        float | None,
        typer.Option(
            "--budget-db",
            min=0.001,
            help="Allowed drop in PSNR, in the mean, dB; by default 0.1, and 0.01 for fp16.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Pairs: the drop is measured against their truth. rain800:DIR, ...")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Rain without truth: the drop is what it would be for a network at 37.55 dB."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures to judge by.")] = 8,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help="Layer, or prefix of layers, not to quantise; may be repeated."),
    ] = None,
    sensitivity: Annotated[
        Path | None,
        typer.Option(help="File of granet-export sensitivity: used, continued, or made if need be."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    debug: DebugOption = False,
) -> None:
    """Quantise a model; layers are kept in more bits until the drop is within the budget.

    Exit status 3, and nothing written, if it cannot be met.
    """
    require_export_extra()
    from calibration.qdq.layers import chosen, require_layers
    from calibration.search.meet_budget import meet_budget, open_subject
    from export.onnx.save_quantised import save_quantised

    if data is not None and images is not None:
        raise UsageError("--data has truth and --images has none: give one of them")
    path = output or Path(f"{model.stem}.{precision.value}.onnx")
    if path.suffix != ".onnx":
        raise UserError(f"{path}: the name of an ONNX file ends in .onnx")
    check_file(path, (model,), overwrite=overwrite)
    with progress_line("quantising", total=1.0) as show:
        subject = open_subject(
            model, table, target.value, precision.value, data, images, count, lambda s, last: show(s, last)
        )
        require_layers(subject.quantiser.layers, keep or [])
        always = chosen(subject.quantiser.layers, keep or [])
        result = meet_budget(
            subject,
            always,
            budget_db,
            sensitivity,
            lambda stage, share, last: show(share, f"{stage}: {last}"),
        )
    report = result.report
    if as_json:
        sys.stdout.write(json.dumps(result.to_json(), indent=2) + "\n")
    if report.misses():
        raise ParityError(f"nothing written: {'; '.join(report.misses())} (--budget-db sets another limit)")
    save_quantised(path, subject, result)
    mean, least = report.psnr_db
    say(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, {precision.value} for {target.value}; "
        f"{len(result.kept)} of {len(subject.quantiser.layers)} layers kept in {subject.quantiser.elsewhere} "
        f"({result.kept_share:.0%} of the convolutions' arithmetic)"
    )
    say(
        f"over {len(report.pictures)} pictures, simulated: PSNR to float32 {mean:.1f} dB in the mean, "
        f"{least:.1f} at worst; {_drops(report.drops())}"
    )


def _drops(drops: dict[str, tuple[float, float]]) -> str:
    parts = [
        f"{mean:+.3f} dB in the mean and {most:+.3f} at worst ({name})"
        for name, (mean, most) in drops.items()
    ]
    return f"drop {', '.join(parts)}"
