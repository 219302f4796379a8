"""The training loop (section 4.3): steps, epochs, validation, and when files are written.

Samples come from :mod:`granet.training.samples` by number, so the whole state is the weights, the optimiser
and a few counters. One process and several that average their gradients give the same result up to
rounding: a step of n processes takes n times the samples of one.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from granet.errors import UserError
from granet.model import GraNet
from granet.training.batches import Batch, batches_from
from granet.training.compute import PLAIN, Compute
from granet.training.files import TrainingFiles
from granet.training.learner import Learner
from granet.training.log import Line, summary
from granet.training.processes import FailedElsewhere, Processes
from granet.training.recipe import Limits, Recipe
from granet.training.samples import TrainingData
from granet.training.schedule import Schedule
from granet.training.start import earlier_training, first_network
from granet.training.state import Progress, load_state, save_state
from granet.training.validation import Validation

SECONDS_BETWEEN_SAVES = 600.0
"""The most that a killed training loses of a long epoch."""

SECONDS_BETWEEN_PLOTS = 60.0

Stop = Callable[[], bool]


class Trainer:
    """A training, new or resumed, that runs until it ends or is stopped.

    Attributes:
        progress: samples, steps, epochs and time so far.
        learner: network and optimiser.
        schedule: the learning rate.
        files: the output directory.
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
        network: GraNet | None = None,
    ) -> None:
        """Makes the network and its optimiser; writes nothing.

        Args:
            recipe: everything that decides the result.
            data: training data.
            validation: measures the network after each epoch.
            out: an existing directory for ``best.pt``, ``last.pt``, ``state.pt``, ``log.jsonl``, ``log.png``.
            limits: when the training ends.
            processes: the processes that train together.
            say: prints one line per epoch, in the main process.
            workers: threads that prepare batches; the result does not depend on them.
            compiled: whether to use ``torch.compile``.
            compute: number format and memory layout.
            network: the network before the first step (default: that of the recipe, not revived).

        Raises:
            UserError: if the initial checkpoint or the teacher cannot be loaded, or the checkpoint has
                another configuration.
        """
        self.progress, self.files = Progress(), TrainingFiles(out)
        self.learner = Learner(network or first_network(recipe), recipe, compute, processes, compiled)
        self.schedule = Schedule(recipe, limits, data.epoch_size, self.learner.optimiser)
        self._recipe, self._limits, self._compute = recipe, limits, compute
        self._data, self._validation, self._processes = data, validation, processes
        self._say, self._workers = say, workers
        self._started = self._saved_at = self._drawn_at = 0.0
        self._saved_step = 0

    def resume(self) -> None:
        """Restores the state that the output directory holds.

        Raises:
            UserError: if there is no state, or it is damaged or from another recipe.
        """
        state = load_state(self.files.state_path)
        self._recipe.require_same(state.recipe)
        self._recipe = self._recipe.completed(state.recipe)
        self.progress = state.progress
        self.learner.load_states(state.states)
        self.schedule.load_state(state.states["plateau"])
        self._saved_step, self._saved_at = self.progress.steps, self.progress.seconds
        # Losses that no line has yet: the state is from before the validation, which will be repeated.
        done = self.progress.samples - (1 if self.progress.loss_steps else 0)
        self._processes.on_main(lambda: self.files.log.keep_up_to(done))

    def go_on_from(self, checkpoint: Path) -> None:
        """Continues a training of this recipe from a checkpoint alone.

        The optimiser starts afresh: a cosine with a short warm-up, a plateau schedule at its initial rate.
        The samples continue where the training ended.

        Raises:
            UserError: if the file is not a checkpoint, has another network or recipe, or does not record
                its progress.
        """
        earlier = earlier_training(checkpoint, self._recipe, self._data.epoch_size)
        self.progress, self._recipe = earlier.progress, self._recipe.completed(earlier.recipe)
        self.learner.load_weights(earlier.state)
        self._saved_step = self.progress.steps
        self._saved_at = self.progress.seconds

    def run(self, stop: Stop = lambda: False) -> bool:
        """Trains until a limit is reached or ``stop``, called after each step, returns true.

        Returns:
            Whether the training is complete; either way its files allow to resume it.

        Raises:
            UserError: if loss or gradient is not finite, a picture cannot be read, a file cannot be
                written, or a training with several crop sizes is resumed within a step.
        """
        batch, processes = self._recipe.batch, self._processes
        self._require_whole_steps(batch * processes.count)
        first = self.progress.samples + batch * processes.rank
        batches = batches_from(
            self._data, first, batch, batch * processes.count, self._workers, processes.device
        )
        self._started = time.monotonic() - self.progress.seconds
        stopped = False
        while not (stopped or self._has_ended()):
            stopped = self._epoch(batches, stop)
        self._save()
        self._draw()
        return self._has_ended()

    def _require_whole_steps(self, step: int) -> None:
        """Crops of two epochs, which may differ in size, cannot share a batch."""
        several = self._recipe.crop is not None and len(self._recipe.crop) > 1
        if several and self.progress.samples % step:
            raise UserError(
                f"--crop with several sizes can be resumed only after a whole step, and "
                f"{self.progress.samples} samples are not a multiple of {step}: "
                "use the original --batch and --processes"
            )

    def _epoch(self, batches: Iterator[Batch], stop: Stop) -> bool:
        """Trains to the end of the epoch or of the time, then validates; returns whether it was stopped."""
        end = self._end_of_epoch()
        stopped = False
        with self._processes.bar(f"epoch {self.progress.epoch + 1}", self._data.epoch_size) as show:
            while self.progress.samples < end and not (stopped or self._is_late()):
                loss, stopped = self._step(next(batches), stop)
                show(self._data.epoch_size - (end - self.progress.samples), f"loss {loss:.4f}")
                if self._saved_at + SECONDS_BETWEEN_SAVES < self.progress.seconds:
                    self._save()
        # The time may end within an epoch; the last weights of a cosine are the best.
        if self.progress.samples >= end or self._is_late():
            self._end_epoch()
        return stopped

    def _end_of_epoch(self) -> int:
        """The number of samples that completes the present epoch."""
        return (self.progress.epoch + 1) * self._data.epoch_size

    def _step(self, batch: Batch, stop: Stop) -> tuple[float, bool]:
        """Takes one step; returns the loss and whether all processes must stop."""
        progress, processes = self.progress, self._processes
        self.schedule.before_step(progress)
        value, finite = self.learner.backward(batch)
        # All processes act alike, whichever of them got the signal or saw the loss diverge.
        total = processes.total([value, not finite, stop(), self._elapsed()])
        value, bad_sum, stop_sum, progress.seconds = total
        if bad_sum:
            raise self._diverged() if processes.is_main else FailedElsewhere
        self.learner.update(progress.steps)
        value /= processes.count
        progress.samples += self._recipe.batch * processes.count
        progress.steps += 1
        progress.loss_sum += value
        progress.loss_steps += 1
        return value, bool(stop_sum)

    def _diverged(self) -> UserError:
        return self.files.not_finite("loss or gradient is", self.progress)

    def _end_epoch(self) -> None:
        """Validates, adapts the learning rate and writes the files."""
        self._save()  # validation may fail, and a kill may not wait for its end
        progress = self.progress
        quality = self._validation.measure(self.learner.derain)
        (progress.seconds,) = self._processes.total([self._elapsed()])
        better = progress.best_db is None or quality["psnr_paper_db"] > progress.best_db
        progress.best_db = quality["psnr_paper_db"] if better else progress.best_db
        line = {
            "epoch": progress.epoch + 1,
            "steps": progress.steps,
            "samples": progress.samples,
            "minutes": round(progress.seconds / 60, 3),
            "lr": self.schedule.rate,
            "loss": progress.loss_sum / max(progress.loss_steps, 1),
            **quality,
            "best": better,
        }
        # An epoch that the time has cut short is not complete: more time continues it.
        if progress.samples >= self._end_of_epoch():
            progress.epoch += 1
        progress.loss_sum, progress.loss_steps = 0.0, 0
        self.schedule.after_epoch(quality["psnr_paper_db"], progress)
        self._processes.on_main(lambda: self.files.log.append(line))
        if better:
            self._processes.on_main(lambda: self._save_weights("best.pt", line))
        self._save(line)
        if self._drawn_at + SECONDS_BETWEEN_PLOTS < progress.seconds:
            self._draw()
        if self._processes.is_main:
            self._say(summary(line))

    def _has_ended(self) -> bool:
        """Whether a limit is reached; without limits, whether the training has converged."""
        progress, limits = self.progress, self._limits
        if limits.epochs is not None and progress.epoch >= limits.epochs:
            return True
        if limits.epochs is not None or limits.minutes is not None:
            return self._is_late()
        return self.schedule.has_converged(progress)

    def _elapsed(self) -> float:
        """Seconds of training in the main process and 0 in the others, for a sum over all processes."""
        return time.monotonic() - self._started if self._processes.is_main else 0.0

    def _is_late(self) -> bool:
        return self._limits.minutes is not None and self.progress.seconds >= 60 * self._limits.minutes

    def _save(self, line: Line | None = None) -> None:
        self._saved_at = self.progress.seconds
        # The end of an epoch is saved in any case: the counters have changed, if not the weights.
        if self.progress.steps == 0 or (line is None and self.progress.steps == self._saved_step):
            return
        self._saved_step = self.progress.steps
        self._processes.on_main(lambda: self._save_here(line))

    def _save_here(self, line: Line | None) -> None:
        self._save_weights("last.pt", line)
        states = self.learner.states() | {"plateau": self.schedule.state()}
        save_state(self.files.state_path, self._recipe.to_json(), self.progress, self._compute, states)

    def _save_weights(self, name: str, line: Line | None) -> None:
        self.files.save_weights(name, self.learner.result, self._recipe, self.progress, line)

    def _draw(self) -> None:
        self._drawn_at = self.progress.seconds
        self._processes.on_main(self.files.draw)
