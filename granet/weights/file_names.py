"""The names of checkpoint files. Needs no torch, so that every command can ask."""

from pathlib import Path

ENDINGS = (".pt", ".pth", ".ckpt", ".tar", ".bin", ".safetensors")
"""Endings of checkpoints, in any case. Only they decide what is opened as one; the content decides how."""

SAFETENSORS = ".safetensors"


def is_checkpoint(path: Path) -> bool:
    """Whether the name of ``path`` is that of a checkpoint.

    >>> is_checkpoint(Path("model_best.PTH.tar"))
    True
    """
    return path.suffix.lower() in ENDINGS


def base_name(path: Path) -> str:
    """The name without its endings, for files that are made from the checkpoint.

    >>> base_name(Path("runs/model_best.pth.tar"))
    'model_best'
    """
    name = path.name
    while Path(name).suffix.lower() in ENDINGS:
        name = Path(name).stem
    return name
