"""Fixtures of the tests of ``granet-export trt``: a folder, a model, and what comes of a checkpoint."""

import shutil
from pathlib import Path

import pytest

from export.cli import app
from granet.app.console import run_app
from runtime.artefacts.manifest import manifest_path
from tests.export.trt_ended import TRAINED


@pytest.fixture
def trt_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def trt_model(engines_onnx: Path, trt_folder: Path) -> Path:
    """A dynamic fp32 model with its manifest, in the working directory."""
    for path in (engines_onnx, manifest_path(engines_onnx)):
        shutil.copy(path, trt_folder)
    return trt_folder / engines_onnx.name


@pytest.fixture(scope="session")
def trt_made(engines_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what ``granet-export trt --ckpt`` makes of a checkpoint."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_app(app, ["trt", "--ckpt", str(TRAINED), "--size", "45x32"]) == 0
    return folder
