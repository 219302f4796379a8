"""``granet-export calibrate``: the ranges of a model's tensors on rain, for ``granet-export quantize``."""

from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from calibration.pictures.sets import (
    DatasetPictures,
    DirectoryPictures,
    PictureSet,
    SynthesisedPictures,
    VideoPictures,
)
from calibration.table import write_table
from granet.app.console import DebugOption, Notes, UsageError, say
from granet.app.options import parse_size
from granet.app.progress import progress_line
from granet.data.datasets import open_dataset
from granet.errors import UserError
from runtime.sinks.part_file import check_file


class Method(str, Enum):
    """How a range comes from what was seen."""

    entropy = "entropy"
    percentile = "percentile"
    minmax = "minmax"
    mse = "mse"


def calibrate(
    model: Annotated[Path, typer.Argument(help="ONNX file in float32, of granet-export onnx.")],
    images: Annotated[Path | None, typer.Option(help="Directory of rain pictures.")] = None,
    video: Annotated[Path | None, typer.Option(help="Video of rain.")] = None,
    data: Annotated[str | None, typer.Option(help="Training split of a data set: rain800:DIR, ...")] = None,
    synthesise: Annotated[
        Path | None, typer.Option(help="Directory of clean pictures that rain is put on.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Table; by default MODEL's name and .calibration.json, here."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures to calibrate on.")] = 256,
    method: Annotated[Method, typer.Option(help="How ranges come from what was seen.")] = Method.mse,
    size: Annotated[
        str | None, typer.Option("--size", help="Cut pictures to WxH, for a model of any size.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the rain of --synthesise.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Take pictures that are too few or look dry.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing table.")] = False,
    debug: DebugOption = False,
) -> None:
    """Measure on rain what range each tensor of a model has, and write it to a calibration table."""
    _require_packages()
    from calibration.ranges.calibrate import calibrate as run

    path = output or Path(f"{model.stem}.calibration.json")
    check_file(path, (model,), overwrite=overwrite)
    cut = parse_size(size) if size is not None else None
    notes = Notes()
    pictures = _pictures(images, video, data, synthesise, count=count, seed=seed, notes=notes)
    with progress_line("calibrating", total=1.0) as show:

        def progress(what: str, done: int, total: int | None, name: str) -> None:
            # Looking at all pictures takes a fraction of the time that the model then takes.
            share = min(1.0, done / total) if total else 0.0
            part = 0.1 * share if what == "measuring rain" else 0.1 + 0.9 * share
            show(part, f"{what}, {done}{f' of {total}' if total else ''}: {name}")

        result = run(model, pictures, count, size=cut, force=force, say=notes, progress=progress)
    table = result.table(method.value)
    write_table(path, table)
    rain = sorted(image.rain for image in table.images)
    brightness = sorted(candidate.brightness for candidate in result.chosen)
    say(
        f"{path}: {len(table.ranges)} tensors by {table.method} on {len(table.images)} of {result.looked_at} "
        f"pictures ({result.source}); streaks {rain[0]:.2f} to {rain[-1]:.2f} grey levels, "
        f"median {rain[len(rain) // 2]:.2f}; brightness {brightness[0]:.0f} to {brightness[-1]:.0f}"
    )


def _require_packages() -> None:
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not installed, and calibration runs the model with it: "
            'pip install "granet-deploy[cpu,export]"'
        )


def _pictures(
    images: Path | None,
    video: Path | None,
    data: str | None,
    synthesise: Path | None,
    *,
    count: int,
    seed: int,
    notes: Notes,
) -> PictureSet:
    if sum(given is not None for given in (images, video, data, synthesise)) != 1:
        raise UsageError("give one of --images, --video, --data and --synthesise: the rain to calibrate on")
    if images is not None:
        return DirectoryPictures(str(images), notes)
    if video is not None:
        return VideoPictures(str(video), count, notes)
    if data is not None:
        return DatasetPictures(open_dataset(data, "train"))
    return SynthesisedPictures(str(synthesise), count, seed)
