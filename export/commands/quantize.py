"""``granet-export quantize``: a float32 model and its calibration table -> a model in eight bits."""

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from export.commands.options import model_argument
from granet.app.command import Json, Options, Overwrite
from granet.app.console import UsageError
from granet.app.extras import require_export_extra
from granet.app.schema import to_json
from granet.app.value import checked
from granet.data.specs import parse_spec
from runtime.sinks.part_file import check_file

if TYPE_CHECKING:
    from calibration.search.meet_budget import Judging, Result


class TargetChoice(StrEnum):
    """The runtime that the model is for."""

    tensorrt = "tensorrt"
    cpu = "cpu"


class PrecisionChoice(StrEnum):
    """Precision of the layers that are not kept."""

    int8 = "int8"
    fp8 = "fp8"
    fp16 = "fp16"


@dataclass(frozen=True, kw_only=True)
class JudgingOptions(Options):
    """Options of the commands that quantise: the target, and the pictures that the drop is measured on."""

    target: Annotated[
        TargetChoice,
        typer.Option(help="Quantise for tensorrt (symmetric, else float16) or cpu (OpenVINO, ONNX Runtime)."),
    ] = TargetChoice.tensorrt
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            callback=checked(parse_spec),
            help="Round weights by, and measure the drop on, a data set with ground truth: rain800:DIR, ... "
            "(default: none).",
        ),
    ] = None
    images: Annotated[
        Path | None,
        typer.Option(
            help="Round weights by, and estimate the drop on, rain without ground truth, for a network at "
            "37.55 dB (default: drawn rain)."
        ),
    ] = None
    count: Annotated[int, typer.Option(min=1, help="Use N of these pictures.")] = 8

    def judging(self, precision: PrecisionChoice, keep: tuple[str, ...] = ()) -> "Judging":
        """How a model is quantised and judged.

        Raises:
            UsageError: for options that exclude each other.
        """
        from calibration.search.meet_budget import Judging

        self.at_most_one("--data", "--images", why="each is the pictures to measure the drop on")
        only_int8 = self.target is TargetChoice.cpu and precision is not PrecisionChoice.int8
        self.refuse(
            "--precision",
            conflict=f"{precision.value} with --target cpu" if only_int8 else None,
            why="a CPU target has int8 only; leave the option out",
        )
        return Judging(self.target.value, precision.value, self.data, self.images, self.count, keep)


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions(JudgingOptions):
    """Options of ``granet-export quantize``."""

    results: ClassVar[tuple[str, ...]] = (".onnx",)

    model: Annotated[
        Path,
        model_argument("ONNX model in float32, made by granet-export onnx"),
    ]
    table: Annotated[
        Path | None,
        typer.Option(help="Calibration table of MODEL (default: none; int8 and fp8 need one)."),
    ] = None
    precision: Annotated[PrecisionChoice, typer.Option(help="Precision of the layers; fp8 is E4M3.")] = (
        PrecisionChoice.int8
    )
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="ONNX file (default: MODEL's name with .int8.onnx and the like, here)."
        ),
    ] = None
    budget_db: Annotated[
        float | None,
        typer.Option(
            "--budget-db", min=0.001, help="Allow a mean drop in PSNR of N dB (default: 0.1; for fp16 0.01)."
        ),
    ] = None
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="LAYER",
            help="Do not quantise this layer, or layers with this prefix; repeat for more (default: none).",
        ),
    ] = None
    sensitivity: Annotated[
        Path | None,
        typer.Option(
            help="Use, continue or make this file of granet-export sensitivity, if the budget needs a search "
            "(default: none is kept)."
        ),
    ] = None
    overwrite: Overwrite = False
    as_json: Json = False

    def check(self) -> None:
        """Refuses options that the run would not use.

        Raises:
            UsageError: names the two options.
        """
        self.refuse(
            "--table",
            "--keep",
            "--sensitivity",
            conflict="with --precision fp16" if self.precision is PrecisionChoice.fp16 else None,
            why="float16 quantises no layer; leave the option out",
        )


def quantize(options: QuantizeOptions) -> None:
    """Quantise a model within a budget.

    Layers stay in more bits until the drop is within the budget. Exit status 3 if the budget cannot be met.
    """
    require_export_extra()
    from calibration.search.meet_budget import require_quantisable
    from calibration.table import open_table
    from export.onnx.quantise_step import QuantiseStep
    from runtime.artefacts.artefact import read_model

    options.check()
    judging = options.judging(options.precision, tuple(options.keep or ()))
    path = options.output or Path(f"{options.model.stem}.{options.precision.value}.onnx")
    if path.suffix != ".onnx":
        raise UsageError(f"--output {path}: the name of an ONNX file ends in .onnx")
    check_file(path, (options.model,), overwrite=options.overwrite)
    if options.sensitivity is not None:
        if options.sensitivity.resolve() == path.resolve():
            raise UsageError(f"--sensitivity {path}: is the output too; give each a name of its own")
        check_file(options.sensitivity, (options.model,), overwrite=True)  # continued, or refused
    model = read_model(options.model)
    table = open_table(options.table) if options.table is not None else None
    require_quantisable(model, table, judging, options.sensitivity)
    if table is None and options.precision is not PrecisionChoice.fp16:
        raise UsageError(
            f"--table is missing: make one with granet-export calibrate {options.model} --images DIR"
        )
    step = QuantiseStep(path, judging, options.budget_db, options.sensitivity, overwrite=options.overwrite)
    step.run(model, table, lambda result: _print_json(result) if options.as_json else None)


def _print_json(result: "Result") -> None:
    sys.stdout.write(to_json(result.to_json(), indent=2) + "\n")
