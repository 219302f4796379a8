"""``granet-export bench``: engines side by side."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from export.commands.options import OR_NAME, named_model
from granet.app.command import Json, Options
from granet.app.console import say
from granet.app.options import parse_size
from granet.app.progress import terminal_progress
from granet.app.schema import to_json
from granet.app.value import checked
from runtime.model_option import DeviceOption
from runtime.open import check_backend


@dataclass(frozen=True, kw_only=True)
class BenchOptions(Options):
    """Options of ``granet-export bench``."""

    models: Annotated[
        list[Path],
        typer.Argument(
            parser=named_model,
            metavar="MODEL",
            help=f"ONNX models, engines, checkpoints, grpc(s)://HOST:PORT/NAME, {OR_NAME}.",
        ),
    ]
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            metavar="B",
            callback=checked(check_backend),
            help="Run in torch, onnxruntime, onnxruntime-tensorrt, openvino, tensorrt or auto. Repeat for "
            "more (default: auto).",
        ),
    ] = None
    device: DeviceOption = "auto"
    size: Annotated[
        str | None,
        typer.Option(
            "--size", metavar="WxH", help="Frame size (default: that of the static models, or 480x320)."
        ),
    ] = None
    frames: Annotated[int, typer.Option(min=1, help="Time N frames of each engine.")] = 20
    warm_up: Annotated[int, typer.Option("--warm-up", min=0, help="Run N frames of each first.")] = 3
    as_json: Json = False


def bench(options: BenchOptions) -> None:
    """Compare the time, CPU time and memory of engines.

    They take turns frame by frame. Ratios are to the first engine. A model runs in every named backend that
    can run it.
    """
    from export.reports.bench import print_bench
    from runtime.checks.bench import measure_bench, pair

    subjects = pair(options.models, options.backend or [], options.device, say)
    with terminal_progress("bench") as progress:
        report = measure_bench(
            subjects,
            parse_size(options.size) if options.size else None,
            options.frames,
            options.warm_up,
            progress,
        )
    if options.as_json:
        sys.stdout.write(to_json(report.to_json(), indent=2) + "\n")
    else:
        print_bench(report)
