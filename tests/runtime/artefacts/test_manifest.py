"""The manifest ties measured figures to one very file, and is whole or not there."""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.artefacts.manifest import manifest_path, read_manifest, sha256_of, verify, write_manifest
from tests.runtime.handmade import METADATA, inverting_file

PARITY = {"passed": True, "psnr_db": {"min": 71.6, "mean": 106.0}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return inverting_file(tmp_path / "model.onnx")


def test_it_lies_beside_the_artefact_under_its_whole_name(model: Path) -> None:
    assert write_manifest(model, sha256_of(model), METADATA) == model.with_name("model.onnx.json")


def test_what_is_written_is_read(model: Path) -> None:
    path = write_manifest(model, sha256_of(model), METADATA, PARITY)
    manifest = read_manifest(path)
    assert manifest.file == "model.onnx"
    assert manifest.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert manifest.metadata == METADATA
    assert manifest.parity == PARITY
    assert datetime.fromisoformat(manifest.created).utcoffset() == timedelta(0)


def test_the_json_has_the_names_that_other_programs_read(model: Path) -> None:
    record = json.loads(write_manifest(model, sha256_of(model), METADATA).read_text())
    assert set(record) == {"format", "file", "sha256", "metadata", "parity", "created"}
    assert record["format"] == 1 and record["parity"] is None
    assert record["metadata"]["colour"] == "bgr"


def test_an_untouched_artefact_passes(model: Path) -> None:
    write_manifest(model, sha256_of(model), METADATA, PARITY)
    manifest = verify(model)
    assert manifest is not None and manifest.parity == PARITY


def test_one_without_a_manifest_passes_and_says_so(model: Path) -> None:
    assert verify(model) is None


def test_an_artefact_changed_after_is_refused(model: Path) -> None:
    write_manifest(model, sha256_of(model), METADATA)
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(UserError, match="was changed after its manifest"):
        verify(model)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        '{"format": 7}',
        '{"format": 1}',
        '{"format": 1, "file": "m", "sha256": 3, "created": "", "metadata": {}}',
        '{"format": 1, "file": "m", "sha256": "", "created": "", "metadata": null}',
        '{"format": 1, "file": "m", "sha256": "", "created": "", "metadata": {"format": 1}}',
    ],
)
def test_a_damaged_manifest_is_refused_with_one_line(model: Path, text: str) -> None:
    manifest_path(model).write_text(text)
    with pytest.raises(UserError) as caught:
        verify(model)
    assert "\n" not in str(caught.value) and "model.onnx.json" in str(caught.value)


def test_bytes_that_are_no_text(model: Path) -> None:
    manifest_path(model).write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="damaged"):
        verify(model)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_manifest(tmp_path / "none" / "model.onnx", "0" * 64, METADATA)


def test_a_write_that_fails_leaves_the_old_manifest_and_no_rubbish(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_manifest(model, sha256_of(model), METADATA, PARITY)
    before = path.read_bytes()

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(UserError, match="No space left"):
        write_manifest(model, sha256_of(model), METADATA)
    assert path.read_bytes() == before
    assert sorted(item.name for item in model.parent.iterdir()) == ["model.onnx", "model.onnx.json"]


def test_the_hash_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        sha256_of(tmp_path / "none.onnx")
