"""Where the rain pictures for a calibration come from: the same options for each command that calibrates."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from granet.app.command import Options
from granet.app.console import Notes
from granet.app.value import checked
from granet.data.specs import parse_spec

if TYPE_CHECKING:
    from calibration.pictures.sets import PictureSet

SOURCES = ("--images", "--video", "--data", "--synthesise")


@dataclass(frozen=True, kw_only=True)
class RainOptions(Options):
    """At most one source of rain pictures."""

    images: Annotated[
        Path | None, typer.Option(help="Calibrate on the rain pictures of a directory (default: none).")
    ] = None
    video: Annotated[
        Path | None, typer.Option(help="Calibrate on frames of a video of rain (default: none).")
    ] = None
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            callback=checked(parse_spec),
            help="Calibrate on the training split of a data set: rain800:DIR and others (default: none).",
        ),
    ] = None
    synthesise: Annotated[
        Path | None,
        typer.Option(
            help="Calibrate on clean pictures of a directory, with rain drawn on them (default: none)."
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the rain of --synthesise.")] = 0

    @property
    def rain_source(self) -> str | None:
        """The option that names the pictures; ``None`` if none does."""
        values = (self.images, self.video, self.data, self.synthesise)
        return next(
            (option for option, value in zip(SOURCES, values, strict=True) if value is not None), None
        )

    def check_rain(self) -> None:
        """Refuses a second source, and a seed that is not used.

        Raises:
            UsageError: names the two options.
        """
        self.at_most_one(*SOURCES, why="each is the rain to calibrate on")
        source = self.rain_source
        other = f"with {source}" if source else "without --synthesise"
        self.refuse(
            "--seed",
            conflict=None if source == "--synthesise" else other,
            why="only the rain of --synthesise is random; leave the option out",
        )

    def pictures(self, count: int, notes: Notes) -> "PictureSet":
        """The pictures to calibrate on; one source must be given.

        Args:
            count: most pictures to calibrate on.
            notes: prints notes.

        Raises:
            UserError: if there is none.
        """
        from calibration.pictures.sets import (
            DatasetPictures,
            DirectoryPictures,
            SynthesisedPictures,
            VideoPictures,
        )
        from granet.data.datasets import open_dataset

        if self.images is not None:
            return DirectoryPictures(str(self.images), notes)
        if self.video is not None:
            return VideoPictures(str(self.video), count, notes)
        if self.data is not None:
            return DatasetPictures(open_dataset(self.data, "train"))
        return SynthesisedPictures(str(self.synthesise), count, self.seed)
