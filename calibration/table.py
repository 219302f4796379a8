"""The calibration table: the range of every tensor of one model, and the pictures that it comes from.

A table is JSON that a person can read and compare. It belongs to one very file, whose SHA-256 it
records, and holds no date, path or machine: the same model and pictures give the same bytes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.sinks.part_file import PartFile

FORMAT = 1

METHODS = ("entropy", "percentile", "minmax", "mse")
"""How a clipping range comes from what was seen; see :mod:`calibration.ranges`."""

Range = tuple[float, float]
"""(low, high) in the units of the tensor."""

_HASH_START = 12
"""Hexadecimal digits of a hash that an error shows."""


@dataclass(frozen=True)
class CalibrationImage:
    """A picture that a table was made from.

    Attributes:
        name: of the file, relative to its directory; of a video's frame, ``clip.mp4#12``.
        sha256: of the pixels that the model was given: uint8 H x W x 3, RGB, row by row.
        size: (height, width) in pixels of what the model was given.
        rain: strength of the streaks, see :func:`runtime.views.rain_strength.rain_strength`.
    """

    name: str
    sha256: str
    size: tuple[int, int]
    rain: float


@dataclass(frozen=True)
class CalibrationTable:
    """Ranges of the floating-point tensors of one model.

    Attributes:
        model_sha256: of the ONNX file that it belongs to, hexadecimal.
        method: one of :data:`METHODS`.
        ranges: tensor name -> what 8 bits shall span, with low <= 0 <= high. A tensor that was 0
            everywhere has (0, 0).
        images: the pictures, in the order they were seen.
        extremes: tensor name -> least and largest value seen; the same names as ``ranges``.
        source: where the pictures came from, for people.
    """

    model_sha256: str
    method: str
    ranges: Mapping[str, Range]
    images: tuple[CalibrationImage, ...]
    extremes: Mapping[str, Range]
    source: str = ""


def write_table(path: Path, table: CalibrationTable) -> None:
    """Writes ``table``, whole or not at all; replaces what is there. Equal tables give equal bytes.

    Raises:
        UserError: if it cannot be written.
        ValueError: if a number in it is not finite.
    """
    text = _to_json(table)
    part = PartFile(path)
    try:
        part.path.write_text(text, encoding="utf-8")
        part.commit()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        part.discard()


def read_table(path: Path) -> CalibrationTable:
    """Reads what :func:`write_table` wrote.

    Raises:
        UserError: if it cannot be read, is damaged, or is of a format that this version does not know.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it is not JSON") from error
    if not isinstance(record, dict) or "ranges" not in record:
        raise UserError(f"{path}: not a calibration table: make one with granet-export calibrate")
    if record.get("format") != FORMAT:
        raise UserError(
            f"{path}: a calibration table of format {record.get('format')!r}, this version reads {FORMAT}: "
            "make it again with granet-export calibrate"
        )
    try:
        return _from_json(record)
    except KeyError as error:
        raise _damaged(path, f"{error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{error}"[:120]) from error


def require_for(table: CalibrationTable, model: Path) -> None:
    """Refuses a table of another model.

    Raises:
        UserError: if ``model`` is not the file that the table was made for, or cannot be read.
    """
    digest = sha256_of(model)
    if digest != table.model_sha256:
        raise UserError(
            f"{model} (SHA-256 {digest[:_HASH_START]}...) is not the model of this calibration table "
            f"({table.model_sha256[:_HASH_START]}...): make one for it with "
            f"granet-export calibrate {model} --images DIR"
        )


def _to_json(table: CalibrationTable) -> str:
    """An object a line for the images, two numbers a line for the tensors: made to be compared."""
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
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _joined(entries: Any) -> str:
    return ",\n".join(f"    {entry}" for entry in entries)


def _from_json(record: dict[str, Any]) -> CalibrationTable:
    """Raises ValueError, TypeError, KeyError or AttributeError for what is no table."""
    method, digest, source = record["method"], record["model_sha256"], record["source"]
    _require(method in METHODS, f"method {method!r}")
    _require(isinstance(digest, str) and len(digest) == 64, "model_sha256")
    _require(isinstance(source, str), "source")
    ranges, extremes = _ranges(record["ranges"], "ranges"), _ranges(record["extremes"], "extremes")
    _require(bool(ranges), "it has no ranges")
    _require(ranges.keys() == extremes.keys(), "ranges and extremes are of different tensors")
    for name, (low, high) in ranges.items():
        _require(low <= 0 <= high, f"the range of {name} leaves out 0")
    images = tuple(_image(values) for values in record["images"])
    return CalibrationTable(digest, method, ranges, images, extremes, source)


def _ranges(record: dict[str, Any], what: str) -> dict[str, Range]:
    found = {}
    for name, pair in record.items():
        low, high = pair
        _require(_is_number(low) and _is_number(high) and low <= high, f"{what} of {name}")
        found[name] = (float(low), float(high))
    return found


def _image(values: dict[str, Any]) -> CalibrationImage:
    height, width = values["size"]
    name, digest, rain = values["name"], values["sha256"], values["rain"]
    strings = isinstance(name, str) and isinstance(digest, str)
    sides = all(isinstance(side, int) and side > 0 for side in (height, width))
    _require(strings and sides and _is_number(rain), f"image {name!r:.40}")
    return CalibrationImage(name, digest, (height, width), float(rain))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        f"{path}: the calibration table is damaged ({what}): make it again with granet-export calibrate"
    )
