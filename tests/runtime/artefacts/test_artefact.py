"""An artefact is of the bytes that were read, and of no others."""

import hashlib
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.artefacts.artefact import read_model
from tests.runtime.handmade import METADATA, inverting_file, write_manifest


def test_hash_and_metadata_are_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    path = inverting_file(tmp_path / "m.onnx")
    was = path.read_bytes()
    model = read_model(path)
    inverting_file(path, precision="fp16")  # replaced since
    assert model.content == was and model.sha256 == hashlib.sha256(was).hexdigest()
    assert model.metadata.precision == METADATA.precision != read_model(path).metadata.precision


def test_a_model_that_is_not_that_of_its_manifest_is_refused(tmp_path: Path) -> None:
    path = inverting_file(tmp_path / "m.onnx")
    write_manifest(path, read_model(path).sha256, METADATA)
    assert read_model(path).path == path
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UserError, match=r"m\.onnx: (was changed|not an ONNX file)"):
        read_model(path)


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), (b"", "not an ONNX file")])
def test_another_file_than_a_model_is_one_line(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        read_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
