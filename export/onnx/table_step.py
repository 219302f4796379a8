"""The calibration step: a float32 model and rain pictures -> the calibration table in a file."""

from dataclasses import dataclass
from pathlib import Path

from calibration.pictures.sets import PictureSet
from calibration.ranges.calibrate import Calibration, calibrate
from calibration.table import Table, write_table
from granet.app.console import Notes, say
from granet.app.progress import terminal_progress
from granet.size_rule import Size
from runtime.artefacts.artefact import Model

METHOD = "mse"
"""How ranges come from what was seen, unless the user says it."""

PICTURES = 256
"""Pictures to calibrate on, at most, unless the user says it."""


@dataclass(frozen=True)
class TableStep:
    """A calibration table to be made.

    Attributes:
        output: the table.
        pictures: of rain, to choose from.
        notes: prints what the user would not expect.
        count: pictures to calibrate on, at most.
        method: one of :data:`calibration.table.METHODS`.
        size: (height, width) that pictures are cut to for a model of any size; ``None`` for their own.
        force: too few and dry pictures are taken nevertheless.
        advice: what the user should know of the pictures; empty for nothing.
    """

    output: Path
    pictures: PictureSet
    notes: Notes
    count: int = PICTURES
    method: str = METHOD
    size: Size | None = None
    force: bool = False
    advice: str = ""

    def run(self, model: Model) -> Table:
        """Observes ``model`` on the pictures.

        Raises:
            UserError: see :func:`calibration.ranges.calibrate.calibrate`; nothing is written then.
        """
        say(f"calibrating {model.path} on {self.pictures.source}")
        if self.advice:
            self.notes(self.advice)
        with terminal_progress("calibrating") as progress:
            seen = calibrate(
                model,
                self.pictures,
                self.count,
                size=self.size,
                force=self.force,
                say=self.notes,
                progress=progress,
            )
        table = write_table(self.output, seen.table(self.method))
        _report(table, seen)
        return table


def _report(made: Table, seen: Calibration) -> None:
    table = made.metadata
    rain = sorted(image.rain for image in table.images)
    brightness = sorted(candidate.brightness for candidate in seen.chosen)
    say(
        f"{made.path}: {len(table.ranges)} tensors by {table.method} on {len(table.images)} of "
        f"{seen.looked_at} pictures ({seen.source}); streaks {rain[0]:.2f} to {rain[-1]:.2f} grey levels, "
        f"median {rain[len(rain) // 2]:.2f}; brightness {brightness[0]:.0f} to {brightness[-1]:.0f}"
    )
