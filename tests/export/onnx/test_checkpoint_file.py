"""A checkpoint is read once: what is in the copy is what was hashed, and errors name the user's file."""

from pathlib import Path

import pytest
import torch

from export.onnx.checkpoint_file import opened_checkpoint
from granet import load_checkpoint
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of


def test_the_network_is_that_of_the_file_that_was_hashed(engines_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(engines_checkpoint.read_bytes())
    with opened_checkpoint(path) as opened:
        path.write_bytes(b"another")
        state = opened.network().state_dict()
        assert opened.sha256 == sha256_of(engines_checkpoint)
        assert opened.copy.name == path.name
    expected = load_checkpoint(engines_checkpoint).state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert not opened.copy.exists()


@pytest.mark.parametrize(
    ("name", "content"), [("none.pt", None), ("words.pt", b"weights, honestly"), ("weights.bin", b"")]
)
def test_errors_name_the_users_file(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught, opened_checkpoint(path):
        pass
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).count(name) == 1
