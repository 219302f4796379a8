"""Opens the model of a run: the one that the user named, or the packaged one for the device."""

from collections.abc import Sequence
from pathlib import Path

from granet.app.console import say
from granet.weights.renames import Rename
from runtime.engines.base import Engine
from runtime.model_option import model_path
from runtime.models.packaged import default_model
from runtime.open import open_engine
from runtime.rebuild import open_or_rebuild


def choose_model(model: str | None, device: str, backend: str, option: str = "--model") -> Path:
    """The file of the model; announces it if the user named none.

    Args:
        model: as ``--model`` takes it; ``None`` for the packaged model for the device.
        device: as for :func:`runtime.open.open_engine`.
        backend: the same.
        option: names the option or the setting in the error.

    Raises:
        UserError: if there is no such packaged model.
    """
    if model is not None:
        return model_path(model, device, backend, option)
    chosen = default_model(device, backend)
    say(chosen.message)
    return chosen.path


def open_model(
    path: Path, device: str, backend: str, *, rebuild: bool = False, renames: Sequence[Rename] = ()
) -> Engine:
    """Opens a model; with ``rebuild``, an engine of another machine is rebuilt first.

    Raises:
        UserError: if it cannot run here.
    """
    if rebuild:
        return open_or_rebuild(path, device, backend, say)
    return open_engine(path, device, backend, renames=renames)
