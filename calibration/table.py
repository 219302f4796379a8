"""The calibration table: the range of every tensor of a model, and the pictures used.

A table is JSON that people can read and diff. It belongs to exactly one file, whose SHA-256 it records,
and contains no date, path or machine: the same model and pictures give the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from msgspec import Meta

from granet.app.files import write_atomically
from granet.app.outside_text import shown_values
from granet.app.schema import Finite, JsonFile, PositiveInt, Sha256, read_bytes
from granet.errors import UserError
from runtime.artefacts.artefact import Artefact, Model

FORMAT = 1

Method = Literal["entropy", "percentile", "minmax", "mse"]
"""How a clipping range is computed from the observed values; see :mod:`calibration.ranges.methods`."""

METHODS: tuple[Method, ...] = get_args(Method)

Range = tuple[Finite, Finite]
"""(low, high) in the units of the tensor."""

_HASH_START = 12
"""Number of hexadecimal digits of a hash that an error shows."""


@dataclass(frozen=True)
class CalibrationImage:
    """A picture that was used for a table.

    Attributes:
        name: name of the file relative to its directory; for a frame of a video ``clip.mp4#12``.
        sha256: SHA-256 of the pixels that the model received: uint8 H x W x 3, RGB, row by row.
        size: (height, width) in pixels that the model received.
        rain: strength of the streaks, see :func:`runtime.views.rain_strength.rain_strength`.
    """

    name: str
    sha256: Sha256
    size: tuple[PositiveInt, PositiveInt]
    rain: Finite


@dataclass(frozen=True)
class CalibrationTable:
    """Ranges of the floating-point tensors of one model.

    Attributes:
        model_sha256: SHA-256 of the ONNX file that it belongs to, hexadecimal.
        method: how the ranges were computed from the observed values.
        ranges: tensor name -> range of the 8-bit values, with low <= 0 <= high. A tensor that was 0
            everywhere has (0, 0).
        images: the pictures, in the order of observation.
        extremes: tensor name -> smallest and largest observed value; the same names as ``ranges``.
        source: where the pictures came from, for people.

    Raises:
        ValueError: if a range is descending or does not contain 0, or the two have different tensors.
    """

    model_sha256: Sha256
    method: Method
    ranges: Annotated[Mapping[str, Range], Meta(min_length=1)]
    images: tuple[CalibrationImage, ...]
    extremes: Mapping[str, Range]
    source: str = ""

    def __post_init__(self) -> None:
        if self.ranges.keys() != self.extremes.keys():
            raise ValueError("ranges and extremes have different tensors")
        for name, (low, high) in self.extremes.items():
            if low > high:
                raise ValueError(f"extremes of {name}: expected the smaller first")
        for name, (low, high) in self.ranges.items():
            if not low <= 0 <= high:
                raise ValueError(f"range of {name}: expected low <= 0 <= high, got {low}, {high}")


_FILE = JsonFile(CalibrationTable, "calibration table", "make a new one with granet-export calibrate", FORMAT)


Table = Artefact[CalibrationTable]
"""A calibration table and the file that holds it."""


def write_table(path: Path, table: CalibrationTable, *, overwrite: bool = True) -> Table:
    """Atomically writes ``table``; ``overwrite`` replaces an existing file. Equal tables give equal bytes.

    Raises:
        UserError: if it cannot be written, or exists and may not be replaced.
        ValueError: if a number in it is not finite.
    """
    content = _to_json(table).encode()
    write_atomically(path, content, overwrite=overwrite)
    return Artefact(path, content, table)


def read_table(path: Path) -> CalibrationTable:
    """The table alone of :func:`open_table`."""
    return open_table(path).metadata


def open_table(path: Path) -> Table:
    """Reads what :func:`write_table` wrote.

    Raises:
        UserError: if it cannot be read, is damaged, or has an unknown format.
    """
    content = read_bytes(path)
    return Artefact(path, content, _FILE.decode(content, str(path)))


def require_for(table: Table, model: Model) -> None:
    """Checks that a table belongs to a model.

    Raises:
        UserError: if ``model`` is not the file that the table was made for.
    """
    if model.sha256 != table.metadata.model_sha256:
        raise UserError(
            f"{table.path}: {model.path} (SHA-256 {model.sha256[:_HASH_START]}...) is not the model of this "
            f"calibration table ({table.metadata.model_sha256[:_HASH_START]}...): make one for it with "
            f"granet-export calibrate {model.path} --images DIR"
        )


def _to_json(table: CalibrationTable) -> str:
    """JSON with one line per image and one per tensor, so that two tables can be diffed."""
    head = {
        "format": FORMAT,
        "method": table.method,
        "model_sha256": table.model_sha256,
        "source": table.source,
    }
    lines = [f"  {_dump(name)}: {_dump(value)}," for name, value in head.items()]
    lines += ['  "images": [', _joined(_dump(asdict(image)) for image in table.images), "  ],"]
    for name, ranges in (("extremes", table.extremes), ("ranges", table.ranges)):
        entries = (f"{_dump(tensor)}: {_dump(list(ranges[tensor]))}" for tensor in sorted(ranges))
        lines += [f'  "{name}": {{', _joined(entries), "  }," if name == "extremes" else "  }"]
    return "\n".join(["{", *lines, "}", ""])


def _dump(value: object) -> str:
    return json.dumps(shown_values(value), allow_nan=False, ensure_ascii=False)


def _joined(entries: Iterable[str]) -> str:
    return ",\n".join(f"    {entry}" for entry in entries)
