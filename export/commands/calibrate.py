"""``granet-export calibrate``: measures the ranges of a model's tensors for ``granet-export quantize``."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from export.commands.options import model_argument
from export.commands.rain_options import SOURCES, RainOptions
from granet.app.command import Overwrite
from granet.app.console import Notes, UsageError
from granet.app.extras import require
from granet.app.options import parse_size
from runtime.sinks.part_file import check_file

_REMEDY = "add rain (--images, --video, --data or --synthesise), or accept the pictures with --force"


class Method(StrEnum):
    """How a range is derived from the observed values."""

    entropy = "entropy"
    percentile = "percentile"
    minmax = "minmax"
    mse = "mse"


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(RainOptions):
    """Options of ``granet-export calibrate``."""

    results: ClassVar[tuple[str, ...]] = (".json",)

    model: Annotated[
        Path,
        model_argument("ONNX model in float32, made by granet-export onnx"),
    ]
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Calibration table (default: MODEL's name with .calibration.json, here)."
        ),
    ] = None
    count: Annotated[int, typer.Option(min=1, help="Calibrate on at most N pictures.")] = 256
    method: Annotated[Method, typer.Option(help="How to choose ranges.")] = Method.mse
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Cut pictures to WxH for a model of any size (default: the pictures' own size).",
        ),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Accept pictures that are too few or look dry.")] = (
        False
    )
    overwrite: Overwrite = False

    def check(self) -> None:
        """Refuses options that the run would not use.

        Raises:
            UsageError: names the two options.
        """
        if self.rain_source is None:
            raise UsageError(f"give one of {', '.join(SOURCES)}: the rain to calibrate on")
        self.check_rain()


def calibrate(options: CalibrateOptions) -> None:
    """Measure the range of each tensor on rain pictures.

    The result is a calibration table.
    """
    require("calibrating", "onnx", "onnxruntime")
    from export.onnx.table_step import TableStep
    from runtime.artefacts.artefact import read_model

    options.check()
    path = options.output or Path(f"{options.model.stem}.calibration.json")
    check_file(path, (options.model,), overwrite=options.overwrite)
    size = parse_size(options.size) if options.size is not None else None
    model, notes = read_model(options.model), Notes()
    pictures = options.pictures(options.count, notes)
    step = TableStep(
        path,
        pictures,
        notes,
        options.count,
        options.method.value,
        size,
        _REMEDY,
        options.force,
        overwrite=options.overwrite,
    )
    step.run(model)
