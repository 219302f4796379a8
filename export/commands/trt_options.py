"""Options of ``granet-export trt``."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from export.commands.options import OR_NAME, named_model
from export.commands.rain_options import SOURCES, RainOptions
from export.tensorrt.source import last_made
from granet.app.command import Json, Overwrite
from granet.app.console import UsageError
from granet.app.options import Map, parse_size
from granet.app.value import checked
from granet.size_rule import Size
from granet.weights.file_names import is_checkpoint
from granet.weights.packaged import named_checkpoint
from granet.weights.renames import parse_renames
from runtime.open import ENGINES
from runtime.tensorrt.flavour import parse_capability

if TYPE_CHECKING:
    from export.tensorrt.build import BuildOptions
    from runtime.artefacts.metadata import Precision

CALIBRATION = (*SOURCES, "--seed", "--calibration")
"""The options about calibration."""

_PRECISIONS = ("--fp32", "--fp16", "--int8", "--fp8")


class FlavourChoice(StrEnum):
    """The TensorRT to build with."""

    auto = "auto"
    tensorrt = "tensorrt"
    rtx = "tensorrt-rtx"


@dataclass(frozen=True, kw_only=True)
class TrtOptions(RainOptions):
    """Options of ``granet-export trt``."""

    results: ClassVar[tuple[str, ...]] = ENGINES

    model: Annotated[
        Path | None,
        typer.Argument(
            parser=named_model,
            metavar="MODEL.onnx",
            help=f"ONNX model made by granet-export, {OR_NAME} (default: that of --ckpt).",
        ),
    ] = None
    ckpt: Annotated[
        Path | None,
        typer.Option(
            "--ckpt",
            parser=named_checkpoint,
            help="Start from a checkpoint of GraNet, a file or lite or base (default: from a model).",
        ),
    ] = None
    renames: Map = None
    fp32: Annotated[bool, typer.Option("--fp32", help="Build in single precision, without TF32.")] = False
    fp16: Annotated[bool, typer.Option("--fp16", help="Build in half precision.")] = False
    int8: Annotated[bool, typer.Option("--int8", help="Build with explicit Q/DQ in 8-bit integers.")] = False
    fp8: Annotated[bool, typer.Option("--fp8", help="Build with explicit Q/DQ in 8-bit floats.")] = False
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Use this calibration table (default: the model's own, beside it or the engine; else one "
            "made from the rain of --images, --video, --data or --synthesise, or from drawn rain)."
        ),
    ] = None
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Build for frames of WxH. Repeat for an engine from the smallest to the largest "
            "(default: the model's own; from a checkpoint that of its export here, or 640x480).",
        ),
    ] = None
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="Build for up to N frames at a time (default: the model's own, or 1)."
        ),
    ] = None
    flavour: Annotated[
        FlavourChoice,
        typer.Option(help="Build with this TensorRT; auto prefers tensorrt if installed."),
    ] = FlavourChoice.auto
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            "--compute-capability",
            metavar="X.Y",
            callback=checked(parse_capability),
            help="Build for this compute capability, like 8.6. Repeat for more; TensorRT-RTX only "
            "(default: 8.0, 8.6, 8.9, 12.0 and later).",
        ),
    ] = None
    workspace: Annotated[
        float | None,
        typer.Option(min=0.001, help="Allow a layer N GiB of scratch memory (default: all of the GPU's)."),
    ] = None
    optimisation_level: Annotated[
        int | None,
        typer.Option(
            "--optimisation-level",
            min=0,
            max=5,
            help="Optimise from 0 (builds fast) to 5 (runs fast); TensorRT only (default: 3).",
        ),
    ] = None
    timing_cache: Annotated[
        Path | None,
        typer.Option(
            "--timing-cache",
            help="Read and extend the kernel timings of this file; TensorRT only (default: an own file).",
        ),
    ] = None
    dla: Annotated[
        int | None,
        typer.Option(min=0, help="Run supported layers on this DLA core of a Jetson (default: none)."),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Engine (default: the ONNX file's name, in this directory)."),
    ] = None
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            help="Build without the cache of engines, and store nothing there. Measure every kernel anew, "
            "unless --timing-cache names a file.",
        ),
    ] = False
    overwrite: Overwrite = False
    as_json: Json = False

    def check(self) -> None:
        """Refuses options that the run would not use, before any file is opened.

        Raises:
            UsageError: names the two options.
        """
        if self.model is not None and self.ckpt is not None:
            raise UsageError(f"{self.model} with --ckpt {self.ckpt}: give the model or its checkpoint")
        if self.model is None and self.ckpt is None:
            raise UsageError(_what_to_name(last_made(Path(), self.precision), self.precision))
        if self.model is not None and is_checkpoint(self.model):
            raise UsageError(f"{self.model} is a checkpoint: write --ckpt {self.model}")
        self.refuse(
            "--map",
            conflict=None if self.ckpt is not None else "without --ckpt",
            why="it names the weights of a checkpoint",
        )
        parse_renames(self.renames)
        self.at_most_one(*_PRECISIONS, why="an engine has one precision")
        self.at_most_one(*SOURCES, "--calibration", why="each gives the calibration ranges")
        unquantised = f"with --{self.precision}" if self.precision else "without --int8 or --fp8"
        self.refuse(
            *CALIBRATION,
            conflict=None if self.int8 or self.fp8 else unquantised,
            why="only --int8 and --fp8 need calibration",
        )
        self.check_rain()

    @cached_property
    def precision(self) -> "Precision | None":
        """The requested precision; ``None`` for that of the model, or fp32."""
        if self.int8:
            return "int8"
        if self.fp8:
            return "fp8"
        return "fp16" if self.fp16 else "fp32" if self.fp32 else None

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """(height, width) in pixels."""
        return tuple(parse_size(text) for text in self.size or [])

    @property
    def shaped(self) -> bool:
        """Whether the user names the size of the frames, or how many there are at a time."""
        return bool(self.sizes) or self.batch is not None

    @property
    def directory(self) -> Path:
        """Directory of the files that the user did not name."""
        return self.output.parent if self.output is not None else Path()

    def build_options(self) -> "BuildOptions":
        """Options of the builder."""
        from export.tensorrt.build import BuildOptions

        return BuildOptions(
            capabilities=tuple(
                dict.fromkeys(parse_capability(text) for text in self.compute_capability or [])
            ),
            workspace_gib=self.workspace,
            optimisation_level=self.optimisation_level,
            dla=self.dla,
            timing_cache=self.timing_cache,
        )


def _what_to_name(last: Path | None, precision: "Precision | None") -> str:
    """The error for a command line without a model; ``last`` is the last one made here, if there is one."""
    option = "" if precision is None else f" --{precision}"
    if last is not None:
        named = quote(str(last))
        return f"no model is named; for the last one made here write granet-export trt {named}{option}"
    gives = "" if precision is None else f" that gives an engine in {precision}"
    return (
        f"no model is named, and granet-export has made none here{gives}: name one (granet-export trt "
        f"best.onnx{option}), or the checkpoint (granet-export trt --ckpt best.pt{option})"
    )
