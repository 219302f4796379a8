"""The manifest of an exported model names the file under which it is found."""

import json
from pathlib import Path

import pytest

from export.cli import app
from granet.app.console import run_app

LITE = Path(__file__).parents[3] / "runtime" / "models" / "lite.safetensors"


def test_a_manifest_never_names_the_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_app(app, ["onnx", str(LITE), "--size", "32x32", "-o", "x.onnx"]) == 0
    text = Path("x.onnx.json").read_text()
    assert ".part" not in text
    assert " x.onnx," in json.loads(text)["parity"]["model"]
