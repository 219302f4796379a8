"""Which ONNX model an engine is built from: the last one made, and whether its precision will do."""

from contextlib import suppress
from pathlib import Path

from granet.errors import UserError
from runtime.artefacts.artefact import Model
from runtime.artefacts.manifest import manifest_path, read_manifest
from runtime.artefacts.metadata import Precision

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


def require_precision(model: Model, wanted: Precision | None) -> None:
    """Refuses a model whose precision is not the one that is asked for, and cannot become it.

    Raises:
        UserError: the message says how to get it.
    """
    path, metadata = model.path, model.metadata
    if _gives(metadata.precision, wanted):
        return
    option = "" if wanted == "fp32" else f" --{wanted}"
    way = (
        f"export the checkpoint with granet-export onnx{option}, or give it here: granet-export trt "
        f"--ckpt {metadata.checkpoint}{option}"
        if wanted in ("fp32", "fp16")
        else f"{wanted} is made from a model in fp32: granet-export trt MODEL.onnx{option}"
    )
    raise UserError(
        f"{path}: is {metadata.precision}, and the precision of an engine is that of its file: {way}"
    )


def _gives(found: str, wanted: Precision | None) -> bool:
    """Whether an engine in ``wanted`` is built from a model in ``found``, which may be quantised for it."""
    return wanted is None or found == wanted or (wanted in QUANTISED and found == "fp32")
