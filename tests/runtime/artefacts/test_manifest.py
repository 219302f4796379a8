"""The manifest ties measured figures to exactly one file, and is written atomically."""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from granet.errors import UserError
from runtime.artefacts.manifest import manifest_path, read_manifest, sha256_of, verify
from tests.runtime.handmade import METADATA, inverting_file, write_manifest

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


def test_an_artefact_without_a_manifest_passes(model: Path) -> None:
    assert verify(model) is None


def test_an_artefact_changed_after_is_refused(model: Path) -> None:
    write_manifest(model, sha256_of(model), METADATA)
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(UserError, match="was changed after its manifest"):
        verify(model)


OLD: dict[str, Any] = {
    "format": 1,
    "file": "model.onnx",
    "sha256": "a" * 64,
    "metadata": {
        "config": {"channels": 16},
        "checkpoint": "lite.safetensors",
        "checkpoint_sha256": "b" * 64,
        "precision": "fp32",
        "layout": "frames",
        "colour": "bgr",
        "multiple": 8,
        "extent": 512,
        "height": None,
        "width": None,
        "batch": None,
        "outputs": ["derained"],
        "versions": {"onnx": "1.23.2"},
        "weights": {},
        "quantisation": {},
        "format": 1,
    },
    "parity": None,
    "created": "2026-11-20T00:00:00+00:00",
}
"""A manifest of version 0.1.0, which must always load."""


def test_a_manifest_of_an_earlier_version_loads(model: Path) -> None:
    manifest_path(model).write_text(json.dumps(OLD))
    manifest = read_manifest(manifest_path(model))
    assert (manifest.sha256, manifest.metadata.checkpoint) == ("a" * 64, "lite.safetensors")
    assert manifest.metadata.size_rule.padded_size(480, 643) == (480, 656)


DAMAGED = [
    ("", "the manifest is damaged (it is not valid JSON: input data was truncated)"),
    ("no json", "the manifest is damaged (it is not valid JSON: "),
    ("[]", "the manifest is damaged (expected a JSON object, got a list)"),
    ("[" * 100_000, "the manifest is damaged (expected a JSON object, got a list)"),
    ('{"format": 1, "parity": {"a": ' + "[" * 100_000, "(it is not valid JSON: nested too deeply)"),
    ("{}", "not a manifest"),
    (json.dumps(OLD | {"format": 7}), "a manifest of format 7, this version reads 1"),
    ('{"format": 1}', "(file is missing)"),
    (json.dumps(OLD | {"sha256": 3}), "(sha256: expected 64 hexadecimal digits, got an integer)"),
    (json.dumps(OLD | {"sha256": ""}), "(sha256: expected 64 hexadecimal digits)"),
    (json.dumps(OLD | {"metadata": None}), "(metadata: expected a JSON object, got null)"),
    (json.dumps(OLD | {"metadata": {"format": 1}}), "(metadata.config is missing)"),
    (
        json.dumps(OLD | {"metadata": OLD["metadata"] | {"format": 2}}),
        "(metadata: format 2, this version reads 1)",
    ),
    (json.dumps(OLD | {"parity": 1}), "(parity: expected a JSON object or null, got an integer)"),
    (json.dumps(OLD | {"parity": {"psnr_db": float("nan")}}), "(it is not valid JSON: invalid character"),
]


@pytest.mark.parametrize(("text", "reason"), DAMAGED)
def test_a_damaged_manifest_is_refused_with_one_line(model: Path, text: str, reason: str) -> None:
    manifest_path(model).write_text(text)
    with pytest.raises(UserError) as caught:
        verify(model)
    message = str(caught.value)
    assert message.startswith(f"{manifest_path(model)}: ") and reason in message
    assert message.endswith(": export the model again") and "\n" not in message


def test_bytes_that_are_not_text(model: Path) -> None:
    manifest_path(model).write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="damaged"):
        verify(model)


def test_the_hash_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        sha256_of(tmp_path / "none.onnx")
