"""``granet-export inspect``: describes a file of this project."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from export.commands.options import model_argument
from granet.app.command import Json, Options
from granet.app.options import Map
from granet.app.results import print_line
from granet.app.schema import to_json
from granet.weights.renames import parse_renames

_WIDTH = 22
"""Columns that a name takes."""

_SHOWN = 6
"""List items that are shown to a person."""


@dataclass(frozen=True, kw_only=True)
class InspectOptions(Options):
    """Options of ``granet-export inspect``."""

    file: Annotated[
        Path,
        model_argument("Checkpoint, ONNX model, engine, calibration table, manifest", "FILE"),
    ]
    renames: Map = None
    as_json: Json = False


def inspect(options: InspectOptions) -> None:
    """Describe a file without executing anything.

    The description comes from the manifest and the content.
    """
    from export.reports.inspection import inspect_file

    facts = inspect_file(options.file, parse_renames(options.renames))
    if options.as_json:
        sys.stdout.write(to_json(facts, indent=2) + "\n")
        return
    for name, text in _lines(facts):
        print_line(f"{name:<{_WIDTH}}{text}")


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A name and a line for each fact; for one of several parts, a line for each of them."""
    for name, value in facts.items():
        if not isinstance(value, dict) or not value:
            yield name, _text(value)
            continue
        for index, (part, item) in enumerate(value.items()):
            yield (name if index == 0 else ""), f"{part}: {_text(item)}"


def _text(value: Any) -> str:
    """One line for a person."""
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        shown = ", ".join(map(_text, value[:_SHOWN]))
        return shown if len(value) <= _SHOWN else f"{len(value)}: {shown}, ... (all with --json)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else value
