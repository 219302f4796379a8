"""Which ONNX model an engine is built from: the one named, the last one made, or one made for it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from granet.app.console import Say
from granet.errors import ParityError, UserError
from granet.size_rule import Size
from runtime.artefacts.manifest import manifest_path, read_manifest, sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity import CaseParity
from runtime.engines.onnx_model import OnnxModel

Precision = Literal["fp32", "fp16", "int8", "fp8"]
QUANTISED = ("int8", "fp8")


def last_made(directory: Path, wanted: Precision | None) -> Path:
    """The ONNX file in ``directory`` that was made last, as its manifest says, and is or becomes ``wanted``.

    Files without a manifest of ours are passed over: a model that comes along by chance must not be
    taken for the one that is meant. So is the int8 model of before when fp8 is asked for.

    Raises:
        UserError: if there is none.
    """
    made: list[tuple[str, int, Path]] = []
    for path in directory.glob("*.onnx"):
        with suppress(UserError):
            manifest = read_manifest(manifest_path(path))
            if _gives(manifest.metadata.precision, wanted):
                made.append((manifest.created, path.stat().st_mtime_ns, path))
    if not made:
        of, option = ("", "") if wanted is None else (f" and gives an engine in {wanted}", f" --{wanted}")
        raise UserError(
            f"there is no ONNX file here that granet-export made{of}: name one (granet-export trt best.onnx"
            f"{option}), or the checkpoint (granet-export trt --ckpt best.pt{option})"
        )
    return max(made)[2]


def require_precision(path: Path, wanted: Precision | None) -> ModelMetadata:
    """The metadata of a model whose precision is the one that is asked for, or can become it.

    Raises:
        UserError: if ``path`` is not ours, or has another precision; the message says how to get it.
    """
    metadata = OnnxModel.open(path).metadata
    found = metadata.precision
    if _gives(found, wanted):
        return metadata
    option = "" if wanted == "fp32" else f" --{wanted}"
    way = (
        f"export the checkpoint with granet-export onnx{option}, or give it here: granet-export trt "
        f"--ckpt {metadata.checkpoint}{option}"
        if wanted in ("fp32", "fp16")
        else f"{wanted} is made from a model in fp32: granet-export trt MODEL.onnx{option}"
    )
    raise UserError(f"{path}: is {found}, and the precision of an engine is that of its file: {way}")


def _gives(found: str, wanted: Precision | None) -> bool:
    """Whether an engine in ``wanted`` is built from a model in ``found``, which may be quantised for it."""
    return wanted is None or found == wanted or (wanted in QUANTISED and found == "fp32")


@dataclass(frozen=True)
class Exported:
    """An ONNX model to be made from a checkpoint.

    Attributes:
        checkpoint: of GraNet.
        directory: where it goes.
        precision: ``fp32`` or ``fp16``.
        size: (height, width) of a static graph; ``None`` for one of any size and batch.
    """

    checkpoint: Path
    directory: Path
    precision: Literal["fp32", "fp16"]
    size: Size | None

    @property
    def path(self) -> Path:
        """``best.onnx`` or ``best.fp16.onnx``."""
        ending = ".onnx" if self.precision == "fp32" else f".{self.precision}.onnx"
        return self.directory / f"{self.checkpoint.stem}{ending}"


def export_checkpoint(
    wanted: Exported, overwrite: bool, say: Say, progress: Callable[[CaseParity], None]
) -> Path:
    """Exports a checkpoint as ``granet-export onnx`` does, parity included; the path of the ONNX file.

    A file that is already there is used if it was made from this very checkpoint in the same form.

    Raises:
        ParityError: if the export differs from PyTorch by more than its budget.
        UserError: if another file has the name and ``overwrite`` was not given, or the export fails.
    """
    from export.onnx.export import ExportOptions, export_onnx  # torch takes seconds to import

    path = wanted.path
    if path.exists() and not overwrite:
        if not _is(wanted, path):
            raise UserError(
                f"{path} exists and is not what this engine is made from: add --overwrite to replace it, or "
                "name the engine in another directory with -o"
            )
        say(f"using {path}, which was made from {wanted.checkpoint}")
        return path
    say(f"exporting {wanted.checkpoint} to {path}")
    options = ExportOptions(size=wanted.size, precision=wanted.precision, overwrite=overwrite)
    try:
        report = export_onnx(wanted.checkpoint, path, options, progress=progress)
    except ParityError as error:
        raise ParityError(
            f"{error}: they are options of granet-export onnx, whose file can then be given here"
        ) from error
    say(
        f"{path}: PSNR to PyTorch {report.mean_db:.1f} dB in the mean, {report.worst.psnr_db:.1f} dB at worst"
    )
    return path


def _is(wanted: Exported, path: Path) -> bool:
    with suppress(UserError):
        found = OnnxModel.open(path).metadata
        size = None
        if found.height is not None and found.width is not None:
            size = (found.height, found.width)
        asked = None if wanted.size is None else found.size_rule.padded_size(*wanted.size)
        same = (found.precision, size, found.layout) == (wanted.precision, asked, "frames")
        return same and found.checkpoint_sha256 == sha256_of(wanted.checkpoint)
    return False


def quantisation_of(metadata: ModelMetadata) -> dict[str, Any]:
    """What a model says of how it was quantised; empty if it was not."""
    found: dict[str, Any] = asdict(metadata).get("quantisation", {})
    return found


def one_precision(**flags: bool) -> Precision | None:
    """The precision whose option was given; ``None`` if none was.

    Raises:
        UserError: if two were.
    """
    given = [name for name, is_set in flags.items() if is_set]
    if len(given) > 1:
        raise UserError(f"--{given[0]} and --{given[1]}: an engine has one precision, give one of them")
    return cast(Precision, given[0]) if given else None
