"""The files in a training's output directory: checkpoints, state, log and plot."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from granet.app.claim import hold_directory
from granet.checkpoint import save_checkpoint
from granet.errors import UserError
from granet.model import GraNet
from granet.training.log import Line, TrainingLog
from granet.training.plot import draw_training
from granet.training.recipe import Recipe
from granet.training.state import Progress

_NAMES = ("best.pt", "last.pt", "state.pt", "log.jsonl", "log.png")


class TrainingFiles:
    """The output directory of a training.

    Attributes:
        out: the directory.
        state_path: the file that ``--resume`` reads.
        log: one line per epoch.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.state_path = out / "state.pt"
        self.log = TrainingLog(out / "log.jsonl")

    def refuse_existing(self) -> None:
        """Refuses to overwrite a training.

        Raises:
            UserError: if the directory holds any of the files.
        """
        existing = [name for name in _NAMES if (self.out / name).exists()]
        if existing:
            raise UserError(
                f"{self.out} holds a training ({existing[0]}): give --resume to resume it, --overwrite to "
                "replace it, or another --out"
            )

    def holds(self, path: Path) -> bool:
        """Whether ``path`` is one of the files of a training in this directory."""
        return path.name in _NAMES and path.exists() and path.resolve() == (self.out / path.name).resolve()

    @contextmanager
    def prepared(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Makes the directory and holds it inside the context: no other training may write to it.

        Partial files are removed, and unless the training is resumed, an old training too.

        Raises:
            UserError: if the directory cannot be written, another training writes to it, or it holds one
                that is neither resumed nor replaced.
        """
        with ExitStack() as held:
            try:
                self.out.mkdir(parents=True, exist_ok=True)
                held.enter_context(hold_directory(self.out))
            except BlockingIOError:
                raise UserError(f"{self.out}: another training writes to it; use another --out") from None
            except OSError as error:
                raise UserError(f"{self.out}: cannot be written: {error.strerror}") from error
            if not (resume or overwrite):
                self.refuse_existing()
            self._clear(resume)
            yield

    def _clear(self, resume: bool) -> None:
        try:
            for name in () if resume else _NAMES:
                (self.out / name).unlink(missing_ok=True)
            for left in self.out.glob(".*"):
                if re.fullmatch(r"\.(best|last|state|log)\.[0-9a-f]{8}\.(pt|png|jsonl)", left.name):
                    left.unlink()
        except OSError as error:
            raise UserError(f"{self.out}: cannot be written: {error.strerror}") from error

    def save_weights(
        self, name: str, network: GraNet, recipe: Recipe, progress: Progress, line: Line | None
    ) -> None:
        """Writes a checkpoint.

        Args:
            name: ``best.pt`` or ``last.pt``.
            network: the network to save.
            recipe: recorded in the checkpoint.
            progress: recorded in the checkpoint.
            line: the log line of the epoch, if the epoch is complete.

        Raises:
            UserError: if a weight is not finite or the file cannot be written.
        """
        if not all(bool(torch.isfinite(weight).all()) for weight in network.parameters()):
            raise self.not_finite("the weights are", progress)
        facts: dict[str, Any] = {"recipe": recipe.to_json(), "samples": progress.samples}
        facts |= {"steps": progress.steps, "minutes": round(progress.seconds / 60, 1)}
        if line is not None:
            facts |= {key: line[key] for key in ("epoch", "psnr_paper_db", "psnr_matlab_db")}
        save_checkpoint(self.out / name, network, **facts)

    def not_finite(self, what: str, progress: Progress) -> UserError:
        """The error of a training that has diverged; ``what`` is its subject and verb."""
        last = self.out / "last.pt"
        kept = f"; {last} is from before" if last.exists() else ""
        return UserError(
            f"after {progress.steps} steps {what} no longer finite (NaN or Inf){kept}: "
            "try a lower --lr or a --clip-gradient"
        )

    def draw(self) -> None:
        """Plots the log as ``log.png``, unless it is empty.

        Raises:
            UserError: if the file cannot be written.
        """
        lines = self.log.read()
        if lines:
            draw_training(lines, self.out / "log.png")
