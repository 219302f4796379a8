"""The network that another one learns from (distillation)."""

from pathlib import Path

from granet.checkpoint import load_checkpoint, read_checkpoint
from granet.errors import UserError
from granet.model import GraNet


def load_teacher(path: str | Path) -> GraNet:
    """A network that is not trained, of RGB pictures as training is.

    Args:
        path: its checkpoint; ``colour`` among its facts says which order its pictures have (RGB without it).

    Raises:
        UserError: if it is no GraNet, or of another colour order.
    """
    try:
        colour = read_checkpoint(path).facts.get("colour", "rgb")
        teacher = load_checkpoint(path)
    except UserError as error:
        raise UserError(f"--teacher {error}") from error
    if colour != "rgb":
        raise UserError(
            f"--teacher {path}: its pictures are {str(colour)[:20]!r}, and training is in RGB: "
            "give a teacher that was trained in RGB"
        )
    return teacher.requires_grad_(False)
