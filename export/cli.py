"""``granet-export``: checkpoints to models, models against checkpoints, models side by side."""

import json
import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from export.commands.calibrate import calibrate
from export.commands.inspect import inspect
from export.commands.quantize import quantize
from export.commands.roofline import roofline
from export.commands.sensitivity import sensitivity
from export.commands.trt import trt
from export.reports.case_progress import case_progress
from granet.app.console import DebugOption, UsageError, run_app, say
from granet.app.extras import require_export_extra
from granet.app.options import DEFAULT_SIZE, parse_size
from granet.app.progress import progress_line
from granet.errors import ParityError
from runtime.checks.parity import budget_for, overridden

app = typer.Typer(
    help="From a PyTorch GraNet to verified models for edge devices.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


class LayoutChoice(str, Enum):
    """How pictures go in and come out."""

    frames = "frames"
    tensor = "tensor"


class ColourChoice(str, Enum):
    """Channel order of frames."""

    bgr = "bgr"
    rgb = "rgb"


Checkpoint = Annotated[Path, typer.Option("--ckpt", help="Checkpoint of GraNet: .pt or .safetensors.")]
MeanDb = Annotated[float | None, typer.Option(help="Least PSNR in the mean, dB.")]
MinDb = Annotated[float | None, typer.Option(help="Least PSNR of any picture, dB.")]
Share = Annotated[float | None, typer.Option(help="Largest share of values off by more than 1.")]
HardDb = Annotated[float | None, typer.Option(help="Least PSNR of any hard case, dB.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@app.command()
def onnx(
    ckpt: Checkpoint,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="ONNX file; by default the checkpoint's name, here.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Frames of a static graph, WxH; 640x480 by default.")
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Any batch and size, at some cost in speed.")
    ] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Both stages in half precision.")] = False,
    layout: Annotated[
        LayoutChoice,
        typer.Option(help="frames: uint8 NxHxWx3. tensor: float NxCxHxW, RGB, in [0, 1]."),
    ] = LayoutChoice.frames,
    colour: Annotated[ColourChoice, typer.Option(help="Channel order of frames.")] = ColourChoice.bgr,
    stages: Annotated[
        bool, typer.Option("--stages", help="Rain mask and coarse result come out too.")
    ] = False,
    opset: Annotated[int, typer.Option(help="ONNX opset, 18 to 24.")] = 20,
    mean_db: MeanDb = None,
    min_db: MinDb = None,
    share: Share = None,
    hard_db: HardDb = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    debug: DebugOption = False,
) -> None:
    """Export a checkpoint to ONNX, checked against PyTorch before the file gets its name."""
    require_export_extra()
    from export.onnx.export import GATES, ExportOptions, export_onnx

    if dynamic and size is not None:
        raise UsageError("--size makes a static graph and --dynamic one of any size: give one of them")
    options = ExportOptions(
        size=None if dynamic else parse_size(size) if size is not None else DEFAULT_SIZE,
        precision="fp16" if fp16 else "fp32",
        layout=layout.value,
        colour=colour.value,
        stages=stages,
        opset=opset,
        overwrite=overwrite,
    )
    path = output or Path(f"{ckpt.stem}.onnx")
    limits = {"mean_db": mean_db, "min_db": min_db, "share": share, "hard_db": hard_db}
    budget = overridden(GATES[options.precision], **limits)
    say(f"exporting {ckpt} to {path}")
    with case_progress("parity") as progress:
        report = export_onnx(ckpt, path, options, budget, progress)
    say(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB; PSNR to PyTorch {report.mean_db:.1f} dB in the mean, "
        f"{report.worst.psnr_db:.1f} dB at worst, over {len(report.cases)} cases"
    )
    short = replace(report, budget=budget_for(options.precision)).misses()
    if short:
        say(f"note: a trained network is expected to come nearer to PyTorch: {'; '.join(short)}")


@app.command()
def parity(
    model: Annotated[Path, typer.Argument(help="Exported model.")],
    ckpt: Checkpoint,
    images: Annotated[
        Path | None, typer.Option(help="Directory of rain images; drawn rain without it.")
    ] = None,
    size: Annotated[list[str] | None, typer.Option("--size", help="Compare at WxH; may be repeated.")] = None,
    backend: Annotated[str, typer.Option(help="auto, onnxruntime, openvino.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, gpu, npu.")] = "auto",
    mean_db: MeanDb = None,
    min_db: MinDb = None,
    share: Share = None,
    hard_db: HardDb = None,
    as_json: Json = False,
    debug: DebugOption = False,
) -> None:
    """Hold a model against the untouched network in PyTorch. Exit status 3 if it misses its budget."""
    require_export_extra()
    from export.reports.parity import check_parity
    from export.reports.parity_table import print_parity

    overrides = {"mean_db": mean_db, "min_db": min_db, "share": share, "hard_db": hard_db}
    sizes = [parse_size(text) for text in size or []]
    with case_progress("parity") as progress:
        report = check_parity(ckpt, model, images, sizes, backend, device, overrides, progress)
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
    else:
        print_parity(report)
    if report.misses():
        raise ParityError(f"parity missed: {'; '.join(report.misses())}")


@app.command()
def bench(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Exported models (.onnx) and checkpoints.")
    ],
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", help="torch, onnxruntime, openvino or auto; may be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, gpu, npu.")] = "auto",
    size: Annotated[
        str | None,
        typer.Option("--size", help="Frames, WxH; by default those of a static model, or 480x320."),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames that are timed, of each engine.")] = 20,
    warm_up: Annotated[int, typer.Option("--warm-up", min=0, help="Frames of each before those.")] = 3,
    as_json: Json = False,
    debug: DebugOption = False,
) -> None:
    """Time, processor time and memory of engines, side by side: they take turns, frame by frame.

    Ratios are to the first. A model runs in every backend named that can run it.
    """
    from export.reports.bench import print_bench
    from runtime.checks.bench import measure_bench, pair

    subjects = pair(models, backend or [], device, say)
    with progress_line("bench", total=1.0) as show:
        report = measure_bench(
            subjects,
            parse_size(size) if size else None,
            frames,
            warm_up,
            lambda done, share: show(share, done),
        )
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
    else:
        print_bench(report)


for command in (calibrate, quantize, sensitivity, trt, inspect, roofline):
    app.command()(command)


def main() -> None:
    """The entry point of ``granet-export``."""
    raise SystemExit(run_app(app))
