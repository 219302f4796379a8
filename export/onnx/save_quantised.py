"""A quantised model gets its name when it met its budget, loads as a user's would, and has its manifest."""

from pathlib import Path

from calibration.search.meet_budget import Result, Subject, quantised_metadata
from export.onnx.save import save_model
from granet.errors import ParityError
from runtime.artefacts.artefact import Model
from runtime.open import open_engine


def save_quantised(path: Path, subject: Subject, result: Result) -> Model:
    """Writes ``path`` and its manifest.

    Raises:
        ParityError: if the model loses more than its budget; nothing is written.
        UserError: if it cannot be written, or ONNX Runtime cannot load it; nothing is left then.
    """
    if result.report.misses():
        raise ParityError(
            f"nothing written: {'; '.join(result.report.misses())} (granet-export quantize --budget-db sets "
            "another limit)"
        )
    with save_model(result.model, quantised_metadata(subject, result), path) as unproved:
        open_engine(unproved.path, "cpu", "onnxruntime").close()
        return unproved.publish(result.to_json())
