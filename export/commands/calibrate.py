"""``granet-export calibrate``: measures the ranges of a model's tensors for ``granet-export quantize``."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from granet.app.command import Options, Overwrite
from granet.app.console import Notes, UsageError
from granet.app.extras import require
from granet.app.options import parse_size
from runtime.sinks.part_file import check_file

if TYPE_CHECKING:
    from calibration.pictures.sets import PictureSet

_PICTURES = ("--images", "--video", "--data", "--synthesise")


class Method(StrEnum):
    """How a range is derived from the observed values."""

    entropy = "entropy"
    percentile = "percentile"
    minmax = "minmax"
    mse = "mse"


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(Options):
    """Options of ``granet-export calibrate``."""

    model: Annotated[Path, typer.Argument(help="ONNX model in float32, made by granet-export onnx.")]
    images: Annotated[
        Path | None, typer.Option(help="Calibrate on the rain pictures of a directory (no default).")
    ] = None
    video: Annotated[
        Path | None, typer.Option(help="Calibrate on frames of a video of rain (no default).")
    ] = None
    data: Annotated[
        str | None,
        typer.Option(help="Calibrate on the training split of a data set: rain800:DIR, ... (no default)."),
    ] = None
    synthesise: Annotated[
        Path | None,
        typer.Option(
            help="Calibrate on clean pictures of a directory, with rain drawn on them (no default)."
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Calibration table (default: MODEL's name with .calibration.json, here)."
        ),
    ] = None
    count: Annotated[int, typer.Option(min=1, help="Calibrate on at most N pictures.")] = 256
    method: Annotated[Method, typer.Option(help="How to choose ranges.")] = Method.mse
    size: Annotated[
        str | None,
        typer.Option(
            "--size", help="Cut pictures to WxH for a model of any size (default: the pictures' own size)."
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the rain of --synthesise.")] = 0
    force: Annotated[bool, typer.Option("--force", help="Accept pictures that are too few or look dry.")] = (
        False
    )
    overwrite: Overwrite = False

    def check(self) -> None:
        """Refuses options that the run would not use.

        Raises:
            UsageError: names the two options.
        """
        self.at_most_one(*_PICTURES, why="each is the rain to calibrate on")
        given = next((option for option in _PICTURES if option in self.given), None)
        if given is None:
            raise UsageError(f"give one of {', '.join(_PICTURES)}: the rain to calibrate on")
        self.refuse(
            "--seed",
            conflict=None if given == "--synthesise" else f"with {given}",
            why="only the rain of --synthesise is random; leave the option out",
        )

    def pictures(self, notes: Notes) -> "PictureSet":
        """The pictures to calibrate on.

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
            return VideoPictures(str(self.video), self.count, notes)
        if self.data is not None:
            return DatasetPictures(open_dataset(self.data, "train"))
        return SynthesisedPictures(str(self.synthesise), self.count, self.seed)


def calibrate(options: CalibrateOptions) -> None:
    """Measure the range of each tensor of a model on rain pictures, and write a calibration table."""
    require("calibrating", "onnx", "onnxruntime")
    from export.onnx.table_step import TableStep
    from runtime.artefacts.artefact import read_model

    options.check()
    path = options.output or Path(f"{options.model.stem}.calibration.json")
    check_file(path, (options.model,), overwrite=options.overwrite)
    size = parse_size(options.size) if options.size is not None else None
    model, notes = read_model(options.model), Notes()
    pictures = options.pictures(notes)
    step = TableStep(path, pictures, notes, options.count, options.method.value, size, options.force)
    step.run(model)
