"""The network that another one learns from (distillation)."""

from pathlib import Path

from granet.checkpoint import read_checkpoint
from granet.errors import UserError
from granet.model import GraNet


def load_teacher(path: str | Path) -> GraNet:
    """Loads a teacher and freezes its weights.

    Args:
        path: its checkpoint; the fact ``colour`` states its colour order (default: RGB).

    Raises:
        UserError: if the file is not a checkpoint of GraNet, or the colour order is not RGB.
    """
    try:
        checkpoint = read_checkpoint(path)
    except UserError as error:
        raise UserError(f"--teacher {error}") from error
    colour = checkpoint.facts.get("colour", "rgb")
    if colour != "rgb":
        raise UserError(
            f"--teacher {path}: its colour order is {str(colour)[:20]!r}, but training uses RGB: "
            "give a teacher that was trained in RGB"
        )
    return checkpoint.network().requires_grad_(False)
