"""One step of training: loss, gradient, optimiser and the moving average of the weights."""

import math
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from granet.data.image_files import Pixels
from granet.foreign_checkpoint import State
from granet.model import GraNet
from granet.training.batches import Batch
from granet.training.compute import Compute
from granet.training.losses import TEACHER_SHARE, restoration_loss
from granet.training.processes import Processes
from granet.training.recipe import Recipe
from granet.training.teacher import load_teacher


class _Results(nn.Module):
    """Coarse and fine result of a network, in a ``forward`` that several processes can share."""

    def __init__(self, network: GraNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, rainy: Tensor) -> tuple[Tensor, Tensor]:
        _, coarse, fine = self.network.forward_stages(rainy)
        return coarse, fine


class Learner:
    """A network in training, with its teacher, optimiser and moving average.

    Attributes:
        model: the network that the optimiser changes.
        optimiser: Adam over its parameters.
    """

    def __init__(
        self, network: GraNet, recipe: Recipe, compute: Compute, processes: Processes, compiled: bool
    ) -> None:
        """Moves ``network`` to its device and makes the optimiser.

        Args:
            network: the network before the first step.
            recipe: loss, teacher, moving average and gradient clipping.
            compute: number format and memory layout.
            processes: the processes that average their gradients.
            compiled: whether to use ``torch.compile``.

        Raises:
            UserError: if the teacher cannot be loaded.
        """
        self._recipe, self._compute, self._device = recipe, compute, processes.device
        self.model = cast(GraNet, compute.place(network.train(), self._device))
        self._teacher = (
            None if recipe.teacher is None else compute.place(load_teacher(recipe.teacher), self._device)
        )
        self._ema = deepcopy(self.model).eval().requires_grad_(False) if recipe.ema else None
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=recipe.lr)
        self._network = processes.parallel(_Results(self.model))
        if compiled:
            self._network = cast(nn.Module, torch.compile(self._network))

    @property
    def result(self) -> GraNet:
        """The network to validate and save: the moving average, if there is one."""
        return self._ema or self.model

    def backward(self, batch: Batch) -> tuple[float, bool]:
        """Computes the loss of a batch and its clipped gradient.

        Returns:
            The loss, and whether loss and gradient are finite.
        """
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        limit = self._recipe.clip_gradient or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        return loss.item(), bool(torch.isfinite(norm) & torch.isfinite(loss))

    def update(self, steps: int) -> None:
        """Takes a step of the optimiser and updates the moving average.

        Args:
            steps: number of steps before this one.
        """
        self.optimiser.step()
        if self._ema is not None and self._recipe.ema is not None:
            # The average follows faster at first, while the weights change much.
            decay = min(self._recipe.ema, (1 + steps) / (10 + steps))
            with torch.no_grad():
                torch._foreach_lerp_(list(self._ema.parameters()), list(self.model.parameters()), 1 - decay)

    def _loss(self, batch: Batch) -> Tensor:
        """The distance to the ground truth (equation 9's L) and further losses, in float32.

        The paper has no loss of the coarse result. Without one the coarse stage of a folded network can fall
        silent: its first ReLU lets nothing through, and the fine stage works alone.
        """
        rainy, clean = (self._compute.image(pixels, self._device) for pixels in batch)
        with self._compute.autocast(self._device):
            coarse, derained = (result.float() for result in self._network(rainy))
        loss = restoration_loss(derained, clean, self._recipe.loss)
        if self._recipe.coarse_loss:
            loss = loss + self._recipe.coarse_loss * restoration_loss(coarse, clean, self._recipe.loss)
        if self._teacher is None:
            return loss
        with torch.no_grad(), self._compute.autocast(self._device):
            target = self._teacher(rainy).float()
        return loss + TEACHER_SHARE * restoration_loss(derained, target, self._recipe.loss)

    @torch.inference_mode()
    def derain(self, rainy: Pixels) -> Pixels:
        """Derains a picture, uint8 H x W x 3, RGB, and rounds the result as an engine does."""
        image = self._compute.image(torch.from_numpy(rainy.copy())[None], self._device)
        image = self.result(image)[0]
        levels = (image.float() * 255).round().clamp(0, 255).to(torch.uint8)
        return cast(Pixels, levels.permute(1, 2, 0).contiguous().cpu().numpy())

    def states(self) -> dict[str, Any]:
        """State dictionaries of network, moving average (``None`` without one) and optimiser."""
        return {
            "model": self.model.state_dict(),
            "ema": None if self._ema is None else self._ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_states(self, states: dict[str, Any]) -> None:
        """Restores :meth:`states`."""
        self.model.load_state_dict(states["model"])
        if self._ema is not None:
            self._ema.load_state_dict(states["ema"])
        self.optimiser.load_state_dict(states["optimiser"])

    def load_weights(self, state: State) -> None:
        """Sets the weights of the network and of the moving average."""
        for network in (self.model, self._ema):
            if network is not None:
                network.load_state_dict(state)
