"""All that a training needs to go on: one file, written whole or not at all, read without running it."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from granet.checkpoint import read_pickle
from granet.errors import UserError
from granet.training.compute import Compute
from granet.training.log import write_file

FORMAT = "granet-training/1"


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        samples: seen by all processes together; it alone decides which come next.
        steps: of the optimiser.
        epoch: complete epochs.
        seconds: of training, validation included, over all of its parts.
        loss_sum: of the losses of the steps of this epoch.
        loss_steps: how many those are.
        best_db: PSNR of ``best.pt``, dB; ``None`` before the first validation.
        stale: epochs at the present learning rate since one was better.
    """

    samples: int = 0
    steps: int = 0
    epoch: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_db: float | None = None
    stale: int = 0


def save_state(
    path: Path, recipe: dict[str, Any], progress: Progress, compute: Compute, states: dict[str, Any]
) -> None:
    """Writes the state of a training.

    Args:
        path: of the file.
        recipe: of :meth:`granet.training.recipe.Recipe.to_json`.
        progress: how far it has come.
        compute: how it computed; another machine may have to choose anew.
        states: state dictionaries by name: of the network, the optimiser, ...

    Raises:
        UserError: if it cannot be written; what was there before is left.
    """
    content = {
        "format": FORMAT,
        "recipe": recipe,
        "progress": asdict(progress),
        "compute": asdict(compute),
        "states": states,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_file(path, buffer.getvalue())


@dataclass(frozen=True)
class TrainingState:
    """What :func:`save_state` wrote, on the CPU.

    Attributes:
        recipe: of :meth:`granet.training.recipe.Recipe.to_json`.
        progress: how far the training had come.
        compute: how it computed.
        states: state dictionaries by name.
    """

    recipe: dict[str, Any]
    progress: Progress
    compute: Compute
    states: dict[str, Any]


def load_state(path: Path) -> TrainingState:
    """What :func:`save_state` wrote.

    Raises:
        UserError: if there is no such file, or it is damaged or something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no training to resume; start it without --resume")
    try:
        content, _ = read_pickle(path)
        if content.get("format") != FORMAT:
            raise UserError(f"it is no state of a training ({FORMAT})")
        compute = Compute(**content.get("compute", {}))
        return TrainingState(content["recipe"], Progress(**content["progress"]), compute, content["states"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: it is damaged: {error}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
