"""The packaged checkpoints by name. Needs no torch, so that every command can ask."""

from pathlib import Path

from granet.weights.file_names import SAFETENSORS

_FOLDER = Path(__file__).parents[2] / "runtime" / "models"
"""Where the packaged weights are. A path and no import: this package knows nothing of ``runtime``."""


def packaged_weights() -> list[str]:
    """Names of the packaged checkpoints."""
    return sorted((path.stem for path in _FOLDER.glob(f"*{SAFETENSORS}")), reverse=True)


def named_checkpoint(given: str | Path) -> Path:
    """The file of a packaged checkpoint for its name; every path, and a file of that name, as it is.

    >>> named_checkpoint("lite").name, str(named_checkpoint("./lite")), named_checkpoint("mine.pt").name
    ('lite.safetensors', 'lite', 'mine.pt')

    Args:
        given: what a user wrote. A ``Path`` is never a name: it has lost whether it was written ``./lite``.
    """
    is_name = isinstance(given, str) and given in packaged_weights() and not Path(given).is_file()
    return _FOLDER / f"{given}{SAFETENSORS}" if is_name else Path(given)
