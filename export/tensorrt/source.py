"""Selects the ONNX model of an engine: the last one made, and a check of its precision."""

import shlex
from contextlib import suppress
from pathlib import Path

from granet.errors import UserError
from runtime.artefacts.artefact import Model
from runtime.artefacts.manifest import manifest_path, read_manifest, sha256_of
from runtime.artefacts.metadata import MAP, ModelMetadata, Precision
from runtime.models.packaged import packaged_origin

QUANTISED = ("int8", "fp8")


def last_made(directory: Path, wanted: Precision | None) -> Path | None:
    """The ONNX file in ``directory`` that was made last and gives an engine in ``wanted``; ``None`` if none.

    The time is that of its manifest. Files without a manifest of ours do not count, and neither does the
    int8 model of an earlier run if fp8 is requested.
    """
    made: list[tuple[str, int, Path]] = []
    for path in directory.glob("*.onnx"):
        with suppress(UserError):
            manifest = read_manifest(manifest_path(path))
            if _gives(manifest.metadata.precision, wanted):
                made.append((manifest.created, path.stat().st_mtime_ns, path))
    return max(made)[2] if made else None


def require_precision(model: Model, wanted: Precision | None) -> None:
    """Requires that a model has the precision ``wanted``, or can be quantised to it.

    Raises:
        UserError: if not; the message says how to get that precision.
    """
    path, metadata = model.path, model.metadata
    if _gives(metadata.precision, wanted):
        return
    option = "" if wanted == "fp32" else f" --{wanted}"
    way = (
        f"export the checkpoint with granet-export onnx{option}, or give it here: granet-export trt "
        f"{checkpoint_option(metadata)}{option}"
        if wanted in ("fp32", "fp16")
        else f"{wanted} is made from a model in fp32: granet-export trt MODEL.onnx{option}"
    )
    raise UserError(
        f"{path}: has precision {metadata.precision}, and an engine has the precision of its model: {way}"
    )


def checkpoint_option(metadata: ModelMetadata, given: Path | None = None) -> str:
    """``--ckpt`` for the checkpoint of a model, with its ``--map``, as a user writes them in a shell.

    Args:
        metadata: of the model; it has the name of the checkpoint, but not its folder.
        given: the checkpoint, if the user gave it.
    """
    words = ["--ckpt", _checkpoint_to_give(metadata, given)]
    for renaming in metadata.weights.get(MAP, ()):
        words += ["--map", renaming]
    return shlex.join(words)


def _checkpoint_to_give(metadata: ModelMetadata, given: Path | None) -> str:
    packaged = packaged_origin(metadata.checkpoint_sha256)
    if packaged is not None:
        return packaged.stem
    if given is not None:
        return str(given)
    with suppress(UserError):  # there is none, or it cannot be read
        if sha256_of(Path(metadata.checkpoint)) == metadata.checkpoint_sha256:
            return metadata.checkpoint
    return f"PATH/{metadata.checkpoint}"


def _gives(found: str, wanted: Precision | None) -> bool:
    """Whether a model in ``found`` gives an engine in ``wanted``, after quantisation if needed."""
    return wanted is None or found == wanted or (wanted in QUANTISED and found == "fp32")
