"""The weights that a training starts from: random ones, those of ``--init``, or those of ``--continue``."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from granet.checkpoint import load_checkpoint, read_checkpoint
from granet.config import GraNetConfig
from granet.errors import UserError
from granet.foreign_checkpoint import State
from granet.model import CoarseStage, GraNet
from granet.training.recipe import Recipe, is_recipe
from granet.training.state import Progress


def first_network(recipe: Recipe) -> GraNet:
    """The network before the first step: initialised from the seed, or loaded from a checkpoint.

    Raises:
        UserError: if the checkpoint cannot be read or has another configuration.
    """
    config = GraNetConfig.from_dict(recipe.config)
    if recipe.init is None:
        torch.manual_seed(recipe.seed)
        return GraNet(config)
    network = load_checkpoint(recipe.init)
    if network.config != config:
        wanted, found = asdict(config), asdict(network.config)
        other = [
            f"{name} is {found[name]}, not {wanted[name]}" for name in wanted if wanted[name] != found[name]
        ]
        raise UserError(
            f"--init {recipe.init}: its network differs from the one to train: {', '.join(other)}"
        )
    if recipe.renew_coarse:
        torch.manual_seed(recipe.seed)
        network.coarse = _renewed(network)
    return network.requires_grad_(True)


def _renewed(network: GraNet) -> CoarseStage:
    """A new coarse stage whose mask is at first the bias of the old one everywhere.

    The mask of a silent coarse stage is this bias, so the fine stage begins with the input that it knows.
    """
    stage = CoarseStage(network.config)
    torch.nn.init.zeros_(stage.mask.weight)
    stage.mask.bias = network.coarse.mask.bias
    return stage


@dataclass(frozen=True)
class EarlierTraining:
    """What a checkpoint records of its training.

    Attributes:
        state: the weights by name, float32 on the CPU.
        progress: how far the training was.
        recipe: from :meth:`granet.training.recipe.Recipe.to_json`.
    """

    state: State
    progress: Progress
    recipe: dict[str, Any]


def earlier_training(checkpoint: Path, recipe: Recipe, epoch_size: int) -> EarlierTraining:
    """Reads from a checkpoint what is needed to continue its training without a state file.

    Args:
        checkpoint: ``best.pt`` or ``last.pt`` of a training, or a copy.
        recipe: the recipe it must have been trained with.
        epoch_size: samples per epoch.

    Raises:
        UserError: if the file is not a checkpoint, has another network or recipe, or does not record
            its progress.
    """
    found = read_checkpoint(checkpoint)
    trained, samples, steps = (found.facts.get(name) for name in ("recipe", "samples", "steps"))
    minutes = found.facts.get("minutes", 0.0)
    if not (
        is_recipe(trained)
        and isinstance(samples, int)
        and isinstance(steps, int)
        and isinstance(minutes, int | float)
    ):
        raise UserError(
            f"--continue {checkpoint}: the checkpoint does not record the progress of its training: "
            "use --init to start a training from its weights"
        )
    recipe.require_same(trained, f"--continue {checkpoint}", "start from its weights with --init")
    epoch = samples // epoch_size
    progress = Progress(samples, steps, epoch, seconds=60.0 * minutes, first_step=steps)
    return EarlierTraining(found.state, progress, trained)
