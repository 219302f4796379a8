"""``granet-export trt``: a checkpoint or an ONNX model to a TensorRT engine and its record."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from export.reports.case_progress import case_progress
from granet.app.console import DebugOption, UsageError, say
from granet.app.extras import require_export_extra
from granet.app.options import DEFAULT_SIZE, parse_size
from granet.app.progress import progress_line
from granet.errors import UserError
from granet.size_rule import Size
from runtime.checks.parity import ParityReport

if TYPE_CHECKING:
    from export.tensorrt.make import MadeEngine
    from export.tensorrt.source import Precision


class FlavourChoice(str, Enum):
    """Which TensorRT."""

    auto = "auto"
    tensorrt = "tensorrt"
    rtx = "tensorrt-rtx"


@dataclass(frozen=True)
class _Asked:
    """What the command line says of the model."""

    model: Path | None
    checkpoint: Path | None
    precision: "Precision | None"
    images: Path | None
    calibration: Path | None
    sizes: tuple[Size, ...]
    batch: int | None
    output: Path | None
    overwrite: bool

    @property
    def directory(self) -> Path:
        """Where files go whose names the user did not choose."""
        return self.output.parent if self.output is not None else Path()

    def engine(self, model: Path) -> Path:
        """The engine of an ONNX model, which need not be there yet.

        Raises:
            UserError: if it cannot be written; told before minutes of work.
        """
        from export.tensorrt.make import check_output

        path = self.output or Path(f"{model.stem}.engine")
        check_output(path, (model,), self.overwrite)
        return path


def trt(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL.onnx]", help="ONNX model; by default the last one made here."),
    ] = None,
    ckpt: Annotated[
        Path | None, typer.Option("--ckpt", help="Start from a checkpoint of GraNet instead.")
    ] = None,
    fp32: Annotated[bool, typer.Option("--fp32", help="Single precision, without TF32.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Explicit Q/DQ in 8-bit integers.")] = False,
    fp8: Annotated[bool, typer.Option("--fp8", help="Explicit Q/DQ in 8-bit floating point.")] = False,
    images: Annotated[Path | None, typer.Option(help="Rain images to calibrate --int8 or --fp8 on.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration table that was made before, instead.")
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option("--size", help="Frames, WxH. Repeated: an engine from the smallest to the largest."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, max=64, help="Most frames at a time.")] = None,
    flavour: Annotated[
        FlavourChoice, typer.Option(help="Which TensorRT; auto is tensorrt where it is installed.")
    ] = FlavourChoice.auto,
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            "--compute-capability", help="GPUs to build for, as 8.6; may be repeated. TensorRT-RTX."
        ),
    ] = None,
    workspace: Annotated[
        float | None, typer.Option(min=0.001, help="Most scratch memory of a layer, GiB.")
    ] = None,
    optimisation_level: Annotated[
        int | None, typer.Option("--optimisation-level", min=0, max=5, help="0 builds fast, 5 runs fast.")
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option("--timing-cache", help="Kernel timings to use and add to. TensorRT.")
    ] = None,
    dla: Annotated[int | None, typer.Option(min=0, help="DLA core for the layers it takes. Jetson.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Engine; by default the ONNX file's name.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Build even if this engine was built before; keep no copy.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON on stdout.")] = False,
    debug: DebugOption = False,
) -> None:
    """Build a TensorRT engine. From a checkpoint: export, calibrate, quantise and build, each step checked.

    Precision is in the ONNX file: from a checkpoint it is made as asked, and a model in fp32 or fp16
    becomes int8 or fp8. TensorRT-RTX builds without a GPU.
    """
    if find_spec("onnx") is None:
        raise UserError(
            "onnx is not installed, and models are checked with it before a build: pip install onnx"
        )
    from export.tensorrt.build import BuildOptions, check_options
    from export.tensorrt.make import gpu_to_build_on, make_engine
    from export.tensorrt.request import EngineRequest
    from export.tensorrt.source import one_precision
    from runtime.tensorrt.flavour import find_flavour, parse_capability

    if model is not None and ckpt is not None:
        raise UsageError(f"{model} and --ckpt {ckpt}: an engine is built from one of them")
    precision = _as_usage(lambda: one_precision(fp32=fp32, fp16=fp16, int8=int8, fp8=fp8))
    _check_calibration(precision, images, calibration)
    sizes = tuple(parse_size(text) for text in size or [])
    asked = _Asked(model, ckpt, precision, images, calibration, sizes, batch, output, overwrite)
    options = BuildOptions(
        capabilities=tuple(dict.fromkeys(parse_capability(text) for text in compute_capability or [])),
        workspace_gib=workspace,
        optimisation_level=optimisation_level,
        dla=dla,
        timing_cache=timing_cache,
    )
    chosen = find_flavour(flavour.value)
    check_options(chosen, options)  # before an export of minutes
    gpu_to_build_on(chosen)
    source = _source(asked)
    path = asked.engine(source)
    request = EngineRequest(source, path, sizes, batch, options, overwrite, not no_cache)
    several = list(sizes) if len(sizes) > 1 else []  # a static engine is compared at its own size
    verify = _verifier(ckpt, images, several) if ckpt is not None else None
    with progress_line("building", total=1.0) as show:
        made = make_engine(request, chosen, say, show, verify)
    _report(path, made, str(chosen), ckpt)
    if as_json:
        sys.stdout.write(made.record.to_json())


def _as_usage(choose: Callable[[], "Precision | None"]) -> "Precision | None":
    try:
        return choose()
    except UserError as error:
        raise UsageError(str(error)) from error


def _check_calibration(precision: "Precision | None", images: Path | None, table: Path | None) -> None:
    if images is not None and table is not None:
        raise UsageError("--images makes a calibration table and --calibration is one: give one of them")
    for option, value in (("--images", images), ("--calibration", table)):
        if value is not None and precision not in ("int8", "fp8"):
            raise UsageError(f"{option} {value}: calibration is for --int8 and --fp8: add one of them")
        if value is not None and not value.exists():
            raise UserError(f"{option} {value}: there is no such file or directory")


def _source(asked: _Asked) -> Path:
    """The ONNX model in the precision that is asked for."""
    from export.tensorrt.request import EngineRequest, choose_profile
    from export.tensorrt.source import QUANTISED, last_made, require_precision

    if asked.checkpoint is not None:
        source = _from_checkpoint(asked, asked.checkpoint)
    else:
        source = asked.model or last_made(Path(), asked.precision)
        if asked.model is None:
            say(f"using {source}, the last one made here")
        if asked.precision is None:
            return source
    metadata = require_precision(source, asked.precision if asked.checkpoint is None else None)
    if asked.precision in QUANTISED and metadata.precision != asked.precision:
        choose_profile(EngineRequest(source, source, asked.sizes, asked.batch), metadata)
        return _quantised(asked, source)
    return source


def _from_checkpoint(asked: _Asked, checkpoint: Path) -> Path:
    from export.tensorrt.source import QUANTISED, Exported, export_checkpoint

    require_export_extra()
    several = len(asked.sizes) > 1 or (asked.batch or 1) > 1
    size = None if several else (*asked.sizes, DEFAULT_SIZE)[0]
    precision = "fp16" if asked.precision == "fp16" else "fp32"
    wanted = Exported(checkpoint, asked.directory, precision, size)  # type: ignore[arg-type]
    quantised = wanted.path.with_suffix(f".{asked.precision}.onnx")
    asked.engine(quantised if asked.precision in QUANTISED else wanted.path)
    with case_progress("parity") as progress:
        return export_checkpoint(wanted, asked.overwrite, say, progress)


def _quantised(asked: _Asked, source: Path) -> Path:
    require_export_extra()
    from export.tensorrt.quantise import Quantisation, quantise_model

    wanted = Quantisation(
        source,
        asked.directory,
        asked.precision,  # type: ignore[arg-type]
        (*asked.sizes, DEFAULT_SIZE)[0],
        asked.images,
        asked.calibration,
        asked.overwrite,
    )
    asked.engine(wanted.path)
    with progress_line("quantising", total=1.0) as show:
        return quantise_model(wanted, say, lambda stage, share, last: show(share, f"{stage}, {last}"))


def _verifier(checkpoint: Path, images: Path | None, sizes: list[Size]) -> Callable[[Path], ParityReport]:
    """Parity of an engine on the GPU that is here."""

    def verify(engine: Path) -> ParityReport:
        from export.reports.parity import check_parity

        with case_progress("parity") as progress:
            return check_parity(checkpoint, engine, images, sizes, "tensorrt", "cuda", {}, progress)

    return verify


def _report(path: Path, made: "MadeEngine", flavour: str, checkpoint: Path | None) -> None:
    record = made.record
    where = ", ".join(record.compute_capabilities) or "8.0, 8.6, 8.9, 12.0 and later"
    how = "taken from the cache" if made.cached else f"built in {record.build_seconds:.1f} s"
    profile = "; ".join(str(each) for each in record.profiles)
    say(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, {record.metadata.precision}, {profile}, {flavour}, "
        f"compute capability {where}; {how}"
    )
    if made.dla_layers is not None:
        say(
            f"note: {made.dla_layers[0]} of {made.dla_layers[1]} layers run on the DLA, the others on the GPU"
        )
    for warning in record.warnings:
        say(f"note: TensorRT warns: {warning}")
    if record.parity is None:
        given = str(checkpoint) if checkpoint is not None else record.metadata.checkpoint
        say(
            "note: this engine is unverified: run it against PyTorch on the machine it is for: "
            f"granet-export parity --ckpt {given} {path}"
        )
