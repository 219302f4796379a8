"""The state file of a training: everything needed to resume it. Reading it executes no code."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from granet.app.files import write_atomically
from granet.app.input_file import require_regular
from granet.errors import UserError
from granet.training.compute import Compute
from granet.weights.content import parse_torch, read_file

FORMAT = "granet-training/1"


@dataclass
class Progress:
    """The progress of a training.

    Attributes:
        samples: samples that all processes together have seen; they alone decide which come next.
        steps: steps of the optimiser.
        epoch: complete epochs.
        seconds: training time including validation, over all parts of the training.
        loss_sum: sum of the losses of this epoch's steps.
        loss_steps: number of those steps.
        best_db: PSNR of ``best.pt``, dB; ``None`` before the first validation.
        stale: epochs without improvement at the current learning rate.
        first_step: step at which the optimiser began, and with it the warm-up of the cosine schedule.
    """

    samples: int = 0
    steps: int = 0
    epoch: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_db: float | None = None
    stale: int = 0
    first_step: int = 0


def save_state(
    path: Path, recipe: dict[str, Any], progress: Progress, compute: Compute, states: dict[str, Any]
) -> None:
    """Writes the state of a training.

    Args:
        path: the file.
        recipe: from :meth:`granet.training.recipe.Recipe.to_json`.
        progress: progress of the training.
        compute: number format and memory layout; another machine may have to choose others.
        states: state dictionaries by name: network, optimiser, ...

    Raises:
        UserError: if the file cannot be written; the old file then stays.
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
    write_atomically(path, buffer.getvalue())


@dataclass(frozen=True)
class TrainingState:
    """The contents of a state file, on the CPU.

    Attributes:
        recipe: from :meth:`granet.training.recipe.Recipe.to_json`.
        progress: progress of the training.
        compute: number format and memory layout.
        states: state dictionaries by name.
    """

    recipe: dict[str, Any]
    progress: Progress
    compute: Compute
    states: dict[str, Any]


def load_state(path: Path) -> TrainingState:
    """Reads the file that :func:`save_state` wrote.

    Raises:
        UserError: if the file is missing, damaged or not a state file.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no training to resume; start one without --resume")
    require_regular(path)
    try:
        content, _ = parse_torch(read_file(path))
        if content.get("format") != FORMAT:
            raise UserError(f"the file is not the state of a training ({FORMAT})")
        compute = _compute_of(content)
        return TrainingState(content["recipe"], Progress(**content["progress"]), compute, content["states"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: the file is damaged: {error}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _compute_of(content: Mapping[str, Any]) -> Compute:
    """Number format and memory layout; in older versions they were part of the recipe."""
    if "compute" in content:
        return Compute(**content["compute"])
    recipe = content["recipe"]
    return Compute("bf16" if recipe.get("amp") else "fp32", bool(recipe.get("channels_last")))
