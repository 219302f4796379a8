"""The quantised model that an int8 or fp8 engine is built from: calibrated, quantised, judged."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from calibration.pictures.sets import DirectoryPictures, PictureSet
from calibration.ranges.calibrate import calibrate
from calibration.search.meet_budget import meet_budget, open_subject
from calibration.table import read_table, require_for, write_table
from export.onnx.save_quantised import save_quantised
from export.tensorrt.source import quantisation_of
from granet.errors import ParityError, UserError
from granet.size_rule import Size
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.artefacts.manifest import sha256_of
from runtime.checks.parity_cases import CAMERA_NOISE
from runtime.engines.onnx_model import OnnxModel
from runtime.media.frame import Pixels

METHOD = "mse"
"""How ranges come from what was seen, as ``granet-export calibrate`` does it by default."""

PICTURES = 256
"""Pictures to calibrate on, at most; ``granet-export calibrate``'s default."""

DRAWN = 128
"""Pictures that are drawn where none are named: the fewest that calibration accepts."""

JUDGES = 8
"""Pictures that the drop is measured on; ``granet-export quantize``'s default."""

A_STREET = 16
"""Pictures that are drawn of one street, which takes longer to draw than to look at from elsewhere."""

HEAVINESS = (0.1, 0.6)
"""Of the rain that is drawn, from drizzle to a shower."""

Progress = Callable[[float, str], None]


class DrawnPictures(PictureSet):
    """Rain on streets that are both drawn, with the noise of a camera; a stand-in for the user's pictures."""

    def __init__(self, size: Size, count: int) -> None:
        """``size``: (height, width) in pixels."""
        self._size = size
        self.source = f"{count} drawings of rain on a street"
        self.total = count

    def read(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, str, Pixels]]:
        """See :meth:`calibration.pictures.sets.PictureSet.read`."""
        for index in range(self.total or 0):
            if wanted is None or index in wanted:
                yield index, f"drawing {index}", self._draw(index)

    def _draw(self, index: int) -> Pixels:
        height, width = self._size
        rng = np.random.default_rng(index)
        rain = render_rain(sample_rain(rng, float(rng.uniform(*HEAVINESS))), height, width)
        rainy = add_rain(street(height, width, time=float(index), seed=index // A_STREET), rain)
        noisy = rainy + rng.normal(0, CAMERA_NOISE, rainy.shape)
        return np.rint(noisy).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Quantisation:
    """A quantised model to be made.

    Attributes:
        source: the model in float32.
        directory: where files go.
        precision: ``int8`` or ``fp8``.
        size: (height, width) of what is drawn for a model of any size.
        images: directory of rain images; ``None`` for drawings.
        table: calibration table that was made before; ``None`` to make one.
        overwrite: existing files are replaced.
    """

    source: Path
    directory: Path
    precision: Literal["int8", "fp8"]
    size: Size
    images: Path | None = None
    table: Path | None = None
    overwrite: bool = False

    @property
    def path(self) -> Path:
        """``best.int8.onnx``."""
        return self.directory / f"{self.source.stem}.{self.precision}.onnx"

    @property
    def table_path(self) -> Path:
        """``best.calibration.json``."""
        return self.table or self.directory / f"{self.source.stem}.calibration.json"


def quantise_model(
    wanted: Quantisation, say: Callable[[str], None], progress: Callable[[str, float, str], None]
) -> Path:
    """Calibrates and quantises as ``granet-export calibrate`` and ``quantize`` do by default.

    What is there already is used if it was made of this very model.

    Args:
        wanted: what is to be made.
        say: told what a person should know, a line at a time.
        progress: called with the stage, the share of it that is done, and the last picture or layer.

    Returns:
        The path of the quantised model.

    Raises:
        ParityError: if it loses more than the budget allows; it is not written.
        UserError: for files that do not fit together, or pictures that do not do.
    """
    path = wanted.path
    if path.exists() and not wanted.overwrite:
        if not _is(wanted, path):
            raise UserError(
                f"{path} exists and is not what this engine is made from: add --overwrite to replace it, or "
                "name the engine in another directory with -o"
            )
        say(f"using {path}, which was made from {wanted.source}")
        return path
    table = _table(wanted, say, progress)
    say(f"quantising {wanted.source} to {path}")
    subject = open_subject(
        wanted.source,
        table,
        "tensorrt",
        wanted.precision,
        None,
        wanted.images,
        JUDGES,
        lambda share, last: progress("quantising", share, last),
    )
    result = meet_budget(subject, (), None, None, progress)
    if result.report.misses():
        raise ParityError(
            f"nothing written: {'; '.join(result.report.misses())} (granet-export quantize --budget-db sets "
            "another limit)"
        )
    save_quantised(path, subject, result)
    mean, least = result.report.psnr_db
    layers = len(subject.quantiser.layers)
    say(
        f"{path}: {len(result.kept)} of {layers} layers kept in {subject.quantiser.elsewhere}; simulated "
        f"PSNR to float32 {mean:.1f} dB in the mean, {least:.1f} dB at worst"
    )
    return path


def _is(wanted: Quantisation, path: Path) -> bool:
    """Whether ``path`` was quantised from this model, with the table that is named or beside it."""
    try:
        metadata = OnnxModel.open(path).metadata
    except UserError:
        return False
    made = quantisation_of(metadata)
    asked = (wanted.precision, "tensorrt", sha256_of(wanted.source))
    same = (metadata.precision, made.get("target"), made.get("model_sha256")) == asked
    if wanted.images is not None:  # other pictures may be meant
        return False
    return same and (wanted.table is None or made.get("table_sha256") == sha256_of(wanted.table))


def _table(
    wanted: Quantisation, say: Callable[[str], None], progress: Callable[[str, float, str], None]
) -> Path:
    """The calibration table, made if there is none."""
    path = wanted.table_path
    given = wanted.table is not None
    if given or (path.exists() and not wanted.overwrite and wanted.images is None):
        table = read_table(path)
        try:
            require_for(table, wanted.source)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        if not given:
            say(f"using {path}, which was made for {wanted.source}")
        return path
    if path.exists() and not wanted.overwrite:
        raise UserError(f"{path} exists: give it with --calibration, or add --overwrite to make another")
    pictures = _pictures(wanted, say)
    say(f"calibrating {wanted.source} on {pictures.source}")
    result = calibrate(
        wanted.source,
        pictures,
        PICTURES,
        say=say,
        progress=lambda what, done, total, name: progress(what, done / total if total else 0.0, name),
    )
    table = result.table(METHOD)
    write_table(path, table)
    say(f"{path}: {len(table.ranges)} tensors by {METHOD} on {len(table.images)} pictures")
    return path


def _pictures(wanted: Quantisation, say: Callable[[str], None]) -> PictureSet:
    if wanted.images is not None:
        return DirectoryPictures(str(wanted.images), say)
    say(
        "note: no --images: calibrating on drawings of rain, which are not what a camera sees; pictures of "
        "your own give a better engine"
    )
    return DrawnPictures(wanted.size, DRAWN)
