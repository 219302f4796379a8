"""``granet-export inspect``: what a file of ours is."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from granet.console import DebugOption

_WIDTH = 22
"""Columns that a name takes."""


def inspect(
    file: Annotated[
        Path, typer.Argument(help="Checkpoint, ONNX model, engine, calibration table, or a manifest.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    debug: DebugOption = False,
) -> None:
    """Tell what a file is, from its manifest and the file itself. Nothing in it is run."""
    from export.inspection import inspect_file

    facts = inspect_file(file)
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return
    for name, value in facts.items():
        sys.stdout.write(f"{name:<{_WIDTH}}{_text(value)}\n")


def _text(value: Any) -> str:
    """One line for a person."""
    if value is None or value in ([], {}):
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
