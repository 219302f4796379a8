"""``--model``: a packaged model by its name or a file by its path, and the backends that can run it."""

from pathlib import Path

from granet.app.console import UsageError
from runtime.models.packaged import PRESETS, packaged_model
from runtime.open import BACKENDS, CHECKPOINTS, ENGINES


def is_packaged_name(text: str, option: str = "--model") -> bool:
    """Whether ``text`` is the name of a packaged model; a path has a suffix or a slash.

    Args:
        text: the name of a packaged model, or a path.
        option: names the option or the setting in the error.

    Raises:
        UsageError: if it is a bare name that no packaged model has.
    """
    path = Path(text)
    if path.suffix or path.name != text:
        return False
    if text not in PRESETS:
        raise UsageError(f"{option} {text}: give {' or '.join(PRESETS)} for a packaged model, or a path")
    return True


def model_path(text: str, device: str, backend: str, option: str = "--model") -> Path:
    """The file of a model.

    Args:
        text: the name of a packaged model, or a path.
        device: as for :func:`runtime.open.open_engine`.
        backend: the same.
        option: names the option or the setting in the error.

    Raises:
        UserError: if it is a name and this version has no such model.
    """
    return packaged_model(text, device, backend, option) if is_packaged_name(text, option) else Path(text)


def backend_conflict(model: str, backend: str) -> str | None:
    """Both sides of the conflict if ``backend`` cannot run ``model``, else ``None``.

    Args:
        model: as ``--model`` takes it.
        backend: as for :func:`runtime.open.open_engine`, which refuses an unknown one.

    Raises:
        UsageError: if ``model`` is a bare name that no packaged model has.
    """
    if backend not in BACKENDS:
        return None
    suffix = ".onnx" if is_packaged_name(model) else Path(model).suffix.lower()
    if suffix in CHECKPOINTS:
        runs = backend == "torch"
    elif suffix in ENGINES:
        runs = backend == "tensorrt"
    else:
        runs = suffix != ".onnx" or backend not in ("torch", "tensorrt")
    return None if runs else f"{backend} with --model {model}"
