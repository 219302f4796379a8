"""How ``granet-export trt`` ended, for its tests."""

from pathlib import Path

import pytest

from export.cli import app
from granet.app.console import run_app
from runtime.models.packaged import FLOAT32

TRAINED = FLOAT32.with_suffix(".safetensors").resolve()


def ended(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run_app(app, ["trt", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
