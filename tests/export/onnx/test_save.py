"""A model and its manifest are replaced together, or not at all."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.onnx.save import save_model
from granet.errors import UserError
from runtime.artefacts.artefact import read_model
from runtime.artefacts.manifest import manifest_path
from tests.runtime.handmade import METADATA as HANDMADE
from tests.runtime.handmade import inverting_file

METADATA = replace(HANDMADE, versions={"granet-deploy": "1.0"})


def save(output: Path, other: Path) -> None:
    with save_model(onnx.load(other), METADATA, output, overwrite=True) as made:
        made.publish({"passed": True})


def test_a_manifest_that_cannot_be_written_leaves_the_files_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.onnx"
    save(output, inverting_file(tmp_path / "other.onnx"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert read_model(output).metadata == METADATA and manifest_path(output).name in before
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if ".json" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device"):
        save(output, tmp_path / "other.onnx")
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_in_the_place_of_the_manifest_is_refused_before_anything_is_lost(tmp_path: Path) -> None:
    output = inverting_file(tmp_path / "m.onnx")
    before = output.read_bytes()
    manifest_path(output).mkdir()
    with pytest.raises(UserError, match=r"m\.onnx\.json: is a directory"):
        save(output, output)
    assert output.read_bytes() == before and manifest_path(output).is_dir()
