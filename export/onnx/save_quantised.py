"""A quantised model gets its name only when it is whole, loads as a user's would, and has its manifest."""

from pathlib import Path

from calibration.search.meet_budget import Result, Subject, quantised_metadata
from export.onnx.save import partial_path, save_model
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of, write_manifest
from runtime.open import open_engine


def save_quantised(path: Path, subject: Subject, result: Result) -> None:
    """Writes ``path`` and its manifest.

    Raises:
        UserError: if it cannot be written, or ONNX Runtime cannot load it; nothing is left then.
    """
    metadata = quantised_metadata(subject, result)
    with partial_path(path) as partial:
        save_model(result.model, metadata, partial)
        open_engine(partial, "cpu", "onnxruntime").close()
        digest = sha256_of(partial)
        partial.replace(path)
    try:
        write_manifest(path, digest, metadata, result.to_json())
    except UserError:
        path.unlink()  # a model without its manifest would be half of one
        raise
