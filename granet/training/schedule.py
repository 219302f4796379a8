"""The learning rate: the plateau schedule of section 4.3, or a cosine over the whole training."""

import math
from typing import Any

import torch

from granet.training.recipe import Limits, Recipe
from granet.training.state import Progress

WARM_UP_STEPS = 200
"""Steps over which the cosine schedule rises to its learning rate."""

COSINE_FLOOR = 2e-6
"""Final learning rate of the cosine schedule: low, but the last steps still count."""


class Schedule:
    """Sets the learning rate of an optimiser."""

    def __init__(
        self, recipe: Recipe, limits: Limits, epoch_size: int, optimiser: torch.optim.Optimizer
    ) -> None:
        """Keeps the initial rate of the optimiser.

        Args:
            recipe: selects the schedule and its parameters.
            limits: when the training ends.
            epoch_size: samples per epoch.
            optimiser: the optimiser whose rate is set.
        """
        self._recipe, self._limits, self._epoch_size, self._optimiser = recipe, limits, epoch_size, optimiser
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, "max", recipe.lr_factor, recipe.patience, min_lr=recipe.min_lr, eps=0.0
        )

    @property
    def rate(self) -> float:
        """The current learning rate."""
        return float(self._optimiser.param_groups[0]["lr"])

    def before_step(self, progress: Progress) -> None:
        """Moves the rate along the cosine, if the recipe asks for one."""
        if self._recipe.cosine:
            for group in self._optimiser.param_groups:
                group["lr"] = self.cosine_rate(progress)

    def after_epoch(self, psnr_db: float, progress: Progress) -> None:
        """Lowers the rate on a plateau, unless the schedule is a cosine; updates ``progress.stale``."""
        if self._recipe.cosine:
            return
        before, improved = self.rate, psnr_db > self._plateau.best * (1 + self._plateau.threshold)
        self._plateau.step(psnr_db)
        progress.stale = 0 if improved or self.rate != before else progress.stale + 1

    def cosine_rate(self, progress: Progress) -> float:
        """The rate after a short warm-up and the stable share: a cosine over the rest of the training."""
        if self._limits.minutes is not None:
            done = progress.seconds / (60 * self._limits.minutes)
        else:
            done = progress.samples / (self._epoch_size * (self._limits.epochs or 1))
        stable = self._recipe.stable
        turn = min(max(done - stable, 0.0) / (1 - stable), 1.0)
        rate = COSINE_FLOOR + (self._recipe.lr - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * turn))
        return rate * min(1.0, (progress.steps - progress.first_step + 1) / WARM_UP_STEPS)

    def has_converged(self, progress: Progress) -> bool:
        """Whether the rate is at its minimum and the PSNR no longer improves (section 4.3)."""
        return self.rate <= self._recipe.min_lr and progress.stale > self._recipe.patience

    def state(self) -> dict[str, Any]:
        """The state dictionary of the plateau schedule; a cosine depends on the progress alone."""
        return self._plateau.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores :meth:`state`."""
        self._plateau.load_state_dict(state)
