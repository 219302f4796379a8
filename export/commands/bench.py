"""``granet-export bench``: engines side by side."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from granet.app.command import Json, Options
from granet.app.console import say
from granet.app.options import parse_size
from granet.app.progress import terminal_progress


@dataclass(frozen=True, kw_only=True)
class BenchOptions(Options):
    """Options of ``granet-export bench``."""

    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="ONNX models, engines and checkpoints.")
    ]
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            help="Run in torch, onnxruntime, onnxruntime-tensorrt, openvino, tensorrt or auto. Repeat for "
            "more (default: auto).",
        ),
    ] = None
    device: Annotated[str, typer.Option(help="Run on auto, cpu, cuda, cuda:N, gpu or npu.")] = "auto"
    size: Annotated[
        str | None,
        typer.Option("--size", help="Frame size, WxH (default: that of the static models, or 480x320)."),
    ] = None
    frames: Annotated[int, typer.Option(min=1, help="Time N frames of each engine.")] = 20
    warm_up: Annotated[int, typer.Option("--warm-up", min=0, help="Run N frames of each first.")] = 3
    as_json: Json = False


def bench(options: BenchOptions) -> None:
    """Compare the time, CPU time and memory of engines, which take turns frame by frame.

    Ratios are to the first engine. A model runs in every named backend that can run it.
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
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
    else:
        print_bench(report)
