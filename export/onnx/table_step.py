"""The calibration step: a float32 model and rain pictures -> the calibration table in a file."""

from dataclasses import dataclass, replace
from pathlib import Path

from calibration.pictures.selection import Candidate, check_rain, measure
from calibration.pictures.sets import PictureSet
from calibration.ranges.calibrate import Calibration, calibrate
from calibration.table import Table, write_table
from granet.app.console import Notes, say
from granet.app.progress import terminal_progress
from granet.size_rule import Size
from runtime.artefacts.artefact import Model
from runtime.artefacts.metadata import ModelMetadata

METHOD = "mse"
"""Default method of choosing ranges."""

PICTURES = 256
"""Default for the most pictures to calibrate on."""


@dataclass(frozen=True)
class TableStep:
    """A calibration to run.

    Attributes:
        output: the table.
        pictures: rain pictures to choose from.
        notes: prints notes.
        count: most pictures to calibrate on.
        method: one of :data:`calibration.table.METHODS`.
        size: (height, width) to crop pictures to for a dynamic model; ``None`` for no crop.
        remedy: what the user can do if the pictures are too few or dry.
        force: accept too few or dry pictures.
        advice: a note about the pictures; empty for none.
        overwrite: whether an existing table is replaced.
        found: the measured pictures; empty if they are measured when the step runs.
    """

    output: Path
    pictures: PictureSet
    notes: Notes
    count: int = PICTURES
    method: str = METHOD
    size: Size | None = None
    remedy: str = "add rain pictures"
    force: bool = False
    advice: str = ""
    overwrite: bool = False
    found: tuple[Candidate, ...] = ()

    def measured(self, model: ModelMetadata) -> "TableStep":
        """The same step, with pictures that were measured and are rainy enough.

        Args:
            model: of the model that will be calibrated.

        Raises:
            UserError: if they are too few or dry, or one cannot be read.
        """
        dynamic = model.height is None or model.width is None
        size = self.size if dynamic else (model.height or 0, model.width or 0)
        with terminal_progress("measuring rain") as progress:
            found = measure(self.pictures, size, progress)
        check_rain(found, self.pictures.source, remedy=self.remedy, force=self.force, say=self.notes)
        return replace(self, found=tuple(found))

    def run(self, model: Model) -> Table:
        """Runs the calibration of ``model``.

        Raises:
            UserError: as :func:`calibration.ranges.calibrate.calibrate`; nothing is written then.
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
                remedy=self.remedy,
                force=self.force,
                say=self.notes,
                progress=progress,
                found=self.found,
            )
        table = write_table(self.output, seen.table(self.method), overwrite=self.overwrite)
        _report(table, seen)
        return table


def _report(made: Table, seen: Calibration) -> None:
    table = made.metadata
    rain = sorted(image.rain for image in table.images)
    brightness = sorted(candidate.brightness for candidate in seen.chosen)
    say(
        f"{made.path}: {len(table.ranges)} tensors by {table.method} on {len(table.images)} of "
        f"{seen.looked_at} pictures ({seen.source}), {seen.rainy} of which look rainy; "
        f"streaks {rain[0]:.2f} to {rain[-1]:.2f} grey levels, "
        f"median {rain[len(rain) // 2]:.2f}; brightness {brightness[0]:.0f} to {brightness[-1]:.0f}"
    )
