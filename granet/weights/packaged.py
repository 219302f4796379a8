"""The packaged checkpoints by name. Needs no torch, so that every command can ask."""

from pathlib import Path

from granet.weights.file_names import SAFETENSORS

_FOLDER = Path(__file__).parents[2] / "runtime" / "models"
"""Where the packaged weights are. A path and no import: this package knows nothing of ``runtime``."""


def packaged_weights() -> list[str]:
    """Names of the packaged checkpoints."""
    return sorted((path.stem for path in _FOLDER.glob(f"*{SAFETENSORS}")), reverse=True)


def named_checkpoint(path: Path) -> Path:
    """The file of a packaged checkpoint for its name; every other path, and a file of that name, as it is.

    >>> named_checkpoint(Path("lite")).name, named_checkpoint(Path("mine.pt")).name
    ('lite.safetensors', 'mine.pt')
    """
    if str(path) not in packaged_weights() or path.is_file():
        return path
    return _FOLDER / f"{path}{SAFETENSORS}"


def checkpoint_option(given: Path | None) -> Path | None:
    """:func:`named_checkpoint` of the value of an option; for ``typer.Option(callback=)``."""
    return None if given is None else named_checkpoint(given)


def checkpoint_options(given: list[Path]) -> list[Path]:
    """:func:`named_checkpoint` of each value of an option."""
    return [named_checkpoint(path) for path in given]
