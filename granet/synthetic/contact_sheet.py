"""``python -m granet.synthetic.contact_sheet FILE.png``: a contact sheet of the synthetic rain.

A column shows one heaviness. The first two rows show one rain at two times, the third another rain. The
street is synthetic (:mod:`granet.synthetic.street`), so a version makes the same sheet on every machine.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from granet.app.command import Options, Overwrite, add_command
from granet.app.console import UsageError, say
from granet.app.files import write_atomically
from granet.app.program import run_program
from granet.errors import UserError
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street

HEAVINESS = (0.05, 0.2, 0.5, 0.85)
ROWS = ((0, 0.0), (0, 0.04), (5, 0.0))
"""(seed, seconds): the first two are one frame apart at 25 fps."""

HEIGHT, WIDTH = 160, 240
_CAPTION, _GAP = 24, 4
_INK, _PAPER = (40, 40, 40), 255

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True, kw_only=True)
class SheetOptions(Options):
    """The options of the command."""

    destination: Annotated[Path, typer.Argument(metavar="FILE.png", help="PNG file to write.")]
    overwrite: Overwrite = False


def make(options: SheetOptions) -> None:
    """Write a contact sheet of the synthetic rain."""
    destination = options.destination
    if destination.suffix.lower() != ".png":
        raise UsageError(f"{destination}: the sheet is a PNG: give a name that ends in .png")
    if destination.exists() and not options.overwrite:
        raise UserError(f"{destination}: already exists: give --overwrite to replace it")
    sheet = contact_sheet()
    content = cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()
    write_atomically(destination, content, overwrite=options.overwrite)
    say(f"{destination}: {sheet.shape[1]}x{sheet.shape[0]}")


def contact_sheet() -> NDArray[np.uint8]:
    """Draws the sheet: uint8 H x W x 3, RGB."""
    return np.concatenate([_row(seed, time) for seed, time in ROWS])


def _row(seed: int, time: float) -> NDArray[np.uint8]:
    return np.concatenate([_cell(heaviness, seed, time) for heaviness in HEAVINESS], axis=1)


def _cell(heaviness: float, seed: int, time: float) -> NDArray[np.uint8]:
    """A rainy street with a caption above it."""
    rain = sample_rain(np.random.default_rng(seed), heaviness)
    cell = np.full((HEIGHT + _CAPTION, WIDTH + _GAP, 3), _PAPER, np.uint8)
    cell[_CAPTION:, :WIDTH] = add_rain(
        street(HEIGHT, WIDTH, seed=seed), render_rain(rain, HEIGHT, WIDTH, time)
    )
    caption = f"heaviness {heaviness}, rain {seed}, {1000 * time:.0f} ms"
    cv2.putText(cell, caption, (2, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    return cell


add_command(app, SheetOptions, make)


if __name__ == "__main__":
    run_program(app)
