"""The training loop (section 4.3): one step, one epoch, validation, and what is written when.

Samples come from :mod:`granet.training.samples` by their number, so the whole state is the weights, the
optimiser and a few counters. One process, or several that average their gradients, give the same result but
for rounding: step s of n processes takes n times the samples of one.
"""

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from granet.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from granet.config import GraNetConfig
from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.model import GraNet
from granet.training.batches import Batch, batches_from
from granet.training.compute import PLAIN, Compute
from granet.training.log import Line, TrainingLog, draw_training
from granet.training.losses import TEACHER_SHARE, restoration_loss
from granet.training.processes import FailedElsewhere, Processes
from granet.training.recipe import Limits, Recipe
from granet.training.samples import TrainingData
from granet.training.state import Progress, load_state, save_state
from granet.training.validation import Validation

WARM_UP_STEPS = 200
"""Steps over which the cosine schedule rises to its learning rate."""

COSINE_FLOOR = 2e-6
"""Where the cosine schedule ends: low, but the last steps still count."""

SECONDS_BETWEEN_SAVES = 600.0
"""How much of a long epoch a killed training loses at most."""

Stop = Callable[[], bool]


class Trainer:
    """A training: made new or from its files, run until it ends or is stopped.

    Attributes:
        progress: how far it has come.
        state_path: the file it is resumed from.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingData,
        validation: Validation,
        out: Path,
        limits: Limits,
        processes: Processes,
        say: Callable[[str], None],
        workers: int = 0,
        compiled: bool = False,
        compute: Compute = PLAIN,
    ) -> None:
        """Makes the network and its optimiser; nothing is written yet.

        Args:
            recipe: what decides the result.
            data: what it learns from.
            validation: what it is measured on after each epoch.
            out: an existing directory for ``best.pt``, ``last.pt``, ``state.pt``, ``log.jsonl``, ``log.png``.
            limits: when it ends.
            processes: who takes part.
            say: is told a line an epoch, in the main process.
            workers: threads that prepare batches beside the training; the result is the same.
            compiled: with ``torch.compile``.
            compute: number format and memory layout.

        Raises:
            UserError: if the checkpoint to start from is none, or of another configuration, or the
                teacher is none.
        """
        self.recipe, self.limits, self.progress = recipe, limits, Progress()
        self.state_path = out / "state.pt"
        self._out, self._data, self._validation, self._processes = out, data, validation, processes
        self._say, self._workers = say, workers
        self._log = TrainingLog(out / "log.jsonl")
        self._compute = compute
        self._model = cast(GraNet, compute.place(first_network(recipe).train(), processes.device))
        self._teacher = None if recipe.teacher is None else self._placed_teacher(recipe.teacher)
        self._ema = deepcopy(self._model).eval().requires_grad_(False) if recipe.ema else None
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=recipe.lr)
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimiser, "max", recipe.lr_factor, recipe.patience, min_lr=recipe.min_lr, eps=0.0
        )
        self._network = processes.parallel(self._model)
        if compiled:
            self._network = cast(nn.Module, torch.compile(self._network))
        self._started = self._saved_at = self._drawn_at = 0.0
        self._saved_step = self._first_step = 0

    @property
    def result(self) -> GraNet:
        """The network that is validated and saved: the moving average, if there is one."""
        return self._ema or self._model

    def resume(self) -> None:
        """Goes on where the files in the directory say.

        Raises:
            UserError: if there is nothing to resume, it is damaged, or of another recipe.
        """
        state = load_state(self.state_path)
        self.recipe.require_same(state.recipe)
        self.progress, states = state.progress, state.states
        self._model.load_state_dict(states["model"])
        if self._ema is not None:
            self._ema.load_state_dict(states["ema"])
        self._optimiser.load_state_dict(states["optimiser"])
        self._plateau.load_state_dict(states["plateau"])
        self._saved_step, self._saved_at = self.progress.steps, self.progress.seconds
        self._processes.on_main(lambda: self._log.keep_up_to(self.progress.samples))

    def go_on_from(self, checkpoint: Path) -> None:
        """Goes on from the weights of a training of this recipe whose other files are gone.

        The optimiser starts anew, with a short rise of the learning rate; samples come where they ended.

        Raises:
            UserError: if it is no checkpoint, of another network or recipe, or does not say how far it had
                come.
        """
        found = read_checkpoint(checkpoint)
        recipe, samples, steps = (found.facts.get(name) for name in ("recipe", "samples", "steps"))
        if not (isinstance(recipe, dict) and isinstance(samples, int) and isinstance(steps, int)):
            raise UserError(f"{checkpoint}: does not say how far its training had come: use --init")
        try:
            self.recipe.require_same(recipe)
        except UserError as error:
            raise UserError(f"{checkpoint}: {error}") from error
        for network in (self._model, self._ema):
            if network is not None:
                network.load_state_dict(found.state)
        minutes = float(found.facts.get("minutes", 0.0))
        epoch = samples // self._data.epoch_size
        self.progress = Progress(samples=samples, steps=steps, epoch=epoch, seconds=60 * minutes)
        self._saved_step = self._first_step = steps
        self._saved_at = self.progress.seconds

    def run(self, stop: Stop = lambda: False) -> bool:
        """Trains until a limit is reached or ``stop`` is true, asked after each step.

        Returns:
            Whether the training is complete; either way it can be resumed from its files.

        Raises:
            UserError: if loss or gradient is not finite, a picture cannot be read, or a file written.
        """
        batch, processes = self.recipe.batch, self._processes
        first = self.progress.samples + batch * processes.rank
        batches = batches_from(
            self._data, first, batch, batch * processes.count, self._workers, processes.device
        )
        self._started = time.monotonic() - self.progress.seconds
        stopped = False
        while not (stopped or self._ended()):
            stopped = self._epoch(batches, stop)
        self._save()
        self._draw()
        return self._ended()

    def _epoch(self, batches: Iterator[Batch], stop: Stop) -> bool:
        """Steps to the end of the epoch or of the time, then validates; or until stopped, and says so."""
        end = (self.progress.epoch + 1) * self._data.epoch_size
        stopped = False
        with self._processes.bar(f"epoch {self.progress.epoch + 1}", self._data.epoch_size) as show:
            while self.progress.samples < end and not (stopped or self._late()):
                loss, stopped = self._step(next(batches), stop)
                show(self._data.epoch_size - (end - self.progress.samples), f"loss {loss:.4f}")
                if self._saved_at + SECONDS_BETWEEN_SAVES < self.progress.seconds:
                    self._save()
        # What is left of the time may be a part of an epoch; its weights are the best of a cosine.
        if self.progress.samples >= end or self._late():
            self._end_epoch()
        return stopped

    # --- a step ------------------------------------------------------------------------------------

    def _step(self, batch: Batch, stop: Stop) -> tuple[float, bool]:
        """One step of the optimiser: (the loss, whether all processes are to stop)."""
        progress = self.progress
        for group in self._optimiser.param_groups:
            group["lr"] = self._cosine_rate() if self.recipe.cosine else group["lr"]
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        limit = self.recipe.clip_gradient or math.inf
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), limit)
        value, bad = loss.item(), not bool(torch.isfinite(norm) & torch.isfinite(loss))
        # All processes do the same: which of them got the signal, or sees the loss explode, does not matter.
        total = self._processes.total([value, bad, stop(), self._elapsed()])
        value, bad_sum, stop_sum, progress.seconds = total
        if bad_sum:
            raise self._not_finite("loss or gradient is") if self._processes.is_main else FailedElsewhere
        self._optimiser.step()
        self._follow()
        value /= self._processes.count
        progress.samples += self.recipe.batch * self._processes.count
        progress.steps += 1
        progress.loss_sum += value
        progress.loss_steps += 1
        return value, bool(stop_sum)

    def _loss(self, batch: Batch) -> Tensor:
        """The distance to the truth (equation 9's L) and to the teacher's result, in float32."""
        device, name = self._processes.device, self.recipe.loss
        rainy, clean = (self._compute.image(pixels, device) for pixels in batch)
        with self._compute.autocast(device):
            derained = self._network(rainy).float()
        loss = restoration_loss(derained, clean, name)
        if self._teacher is None:
            return loss
        with torch.no_grad(), self._compute.autocast(device):
            taught = self._teacher(rainy).float()
        return loss + TEACHER_SHARE * restoration_loss(derained, taught, name)

    def _placed_teacher(self, path: str) -> nn.Module:
        """A network that is not trained; its colour order is this training's, RGB."""
        colour = read_checkpoint(path).facts.get("colour", "rgb")
        if colour != "rgb":
            raise UserError(f"{path}: its pictures are {str(colour).upper()}, and training is in RGB")
        teacher = load_checkpoint(path).requires_grad_(False)
        return self._compute.place(teacher, self._processes.device)

    def _cosine_rate(self) -> float:
        """After a short rise and the stable share, a cosine over what is left to be done."""
        if self.limits.minutes is not None:
            done = self.progress.seconds / (60 * self.limits.minutes)
        else:
            done = self.progress.samples / (self._data.epoch_size * (self.limits.epochs or 1))
        stable = self.recipe.stable
        sunk = min(max(done - stable, 0.0) / (1 - stable), 1.0)
        rate = COSINE_FLOOR + (self.recipe.lr - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * sunk))
        return rate * min(1.0, (self.progress.steps - self._first_step + 1) / WARM_UP_STEPS)

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves the average towards the weights, faster in the beginning, when they move much."""
        if self._ema is None or self.recipe.ema is None:
            return
        decay = min(self.recipe.ema, (1 + self.progress.steps) / (10 + self.progress.steps))
        torch._foreach_lerp_(list(self._ema.parameters()), list(self._model.parameters()), 1 - decay)

    def _not_finite(self, what: str) -> UserError:
        kept = f"; {self._out / 'last.pt'} is from before" if (self._out / "last.pt").exists() else ""
        return UserError(
            f"after {self.progress.steps} steps {what} no longer finite (NaN or Inf){kept}: "
            "try a lower --lr or a --clip-gradient"
        )

    # --- an epoch ----------------------------------------------------------------------------------

    def _end_epoch(self) -> None:
        """Validates, adapts the learning rate, and writes everything."""
        progress = self.progress
        quality = self._validation.measure(self._derain)
        (progress.seconds,) = self._processes.total([self._elapsed()])
        rate = self._optimiser.param_groups[0]["lr"]
        better = progress.best_db is None or quality["psnr_paper_db"] > progress.best_db
        progress.best_db = quality["psnr_paper_db"] if better else progress.best_db
        progress.epoch += 1
        line = {
            "epoch": progress.epoch,
            "steps": progress.steps,
            "samples": progress.samples,
            "minutes": round(progress.seconds / 60, 3),
            "lr": rate,
            "loss": progress.loss_sum / max(progress.loss_steps, 1),
            **quality,
            "best": better,
        }
        progress.loss_sum, progress.loss_steps = 0.0, 0
        if not self.recipe.cosine:
            self._adapt_rate(quality["psnr_paper_db"])
        self._processes.on_main(lambda: self._log.append(line))
        if better:
            self._processes.on_main(lambda: self._save_weights("best.pt", line))
        self._save(line)
        if self._drawn_at + 60 < progress.seconds:
            self._draw()
        if self._processes.is_main:
            self._say(_summary(line))

    def _adapt_rate(self, psnr_db: float) -> None:
        """The plateau schedule; counts the epochs at one rate that brought nothing."""
        group, plateau = self._optimiser.param_groups[0], self._plateau
        before, improved = group["lr"], psnr_db > plateau.best * (1 + plateau.threshold)
        plateau.step(psnr_db)
        self.progress.stale = 0 if improved or group["lr"] != before else self.progress.stale + 1

    @torch.inference_mode()
    def _derain(self, rainy: Pixels) -> Pixels:
        """uint8 H x W x 3, RGB -> the same, as an engine rounds it."""
        image = self._compute.image(torch.from_numpy(rainy.copy())[None], self._processes.device)
        image = self.result(image)[0]
        levels = (image.float() * 255).round().clamp(0, 255).to(torch.uint8)
        return cast(Pixels, levels.permute(1, 2, 0).contiguous().cpu().numpy())

    # --- the end, and files ------------------------------------------------------------------------

    def _ended(self) -> bool:
        """Whether a limit is reached; without limits, whether the training has converged."""
        progress, limits = self.progress, self.limits
        if limits.epochs is not None and progress.epoch >= limits.epochs:
            return True
        if limits.epochs is not None or limits.minutes is not None:
            return self._late()
        rate = self._optimiser.param_groups[0]["lr"]
        return bool(rate <= self.recipe.min_lr and progress.stale > self.recipe.patience)

    def _elapsed(self) -> float:
        """Seconds of training, and 0 but in the main process: the sum over all is what counts."""
        return time.monotonic() - self._started if self._processes.is_main else 0.0

    def _late(self) -> bool:
        return self.limits.minutes is not None and self.progress.seconds >= 60 * self.limits.minutes

    def _save(self, line: Line | None = None) -> None:
        self._saved_at = self.progress.seconds
        if self.progress.steps in (0, self._saved_step):
            return
        self._saved_step = self.progress.steps
        self._processes.on_main(lambda: self._save_here(line))

    def _save_here(self, line: Line | None) -> None:
        self._save_weights("last.pt", line)
        states = {
            "model": self._model.state_dict(),
            "ema": None if self._ema is None else self._ema.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "plateau": self._plateau.state_dict(),
        }
        save_state(self.state_path, self.recipe.to_json(), self.progress, self._compute, states)

    def _save_weights(self, name: str, line: Line | None) -> None:
        if not all(bool(torch.isfinite(weight).all()) for weight in self.result.parameters()):
            raise self._not_finite("the weights are")
        facts: dict[str, Any] = {"recipe": self.recipe.to_json(), "samples": self.progress.samples}
        facts |= {"steps": self.progress.steps, "minutes": round(self.progress.seconds / 60, 1)}
        if line is not None:
            facts |= {key: line[key] for key in ("epoch", "psnr_paper_db", "psnr_matlab_db")}
        save_checkpoint(self._out / name, self.result, **facts)

    def _draw(self) -> None:
        self._drawn_at = self.progress.seconds
        self._processes.on_main(self._draw_here)

    def _draw_here(self) -> None:
        lines = self._log.read()
        if lines:
            draw_training(lines, self._out / "log.png")


def first_network(recipe: Recipe) -> GraNet:
    """The network before the first step: seeded, or that of a checkpoint.

    Raises:
        UserError: if the checkpoint is none, or of another configuration.
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
        raise UserError(f"{recipe.init} is of another network than this training: {', '.join(other)}")
    return network.requires_grad_(True)


def _summary(line: Line) -> str:
    best = " (best)" if line["best"] else ""
    return (
        f"epoch {line['epoch']}: loss {line['loss']:.4f}, PSNR {line['psnr_paper_db']:.2f} dB paper, "
        f"{line['psnr_matlab_db']:.2f} dB matlab{best}; input {line['rainy_paper_db']:.2f} and "
        f"{line['rainy_matlab_db']:.2f}; lr {line['lr']:.2g}, {line['minutes']:.1f} min"
    )
