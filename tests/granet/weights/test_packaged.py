"""The packaged checkpoints have names in every command and in Python."""

from pathlib import Path

import pytest

from granet import load_checkpoint
from granet.weights.packaged import named_checkpoint, packaged_weights
from runtime.models.packaged import CHECKPOINT, packaged_checkpoints


def test_a_name_is_the_packaged_checkpoint() -> None:
    assert [named_checkpoint(Path(name)) for name in packaged_weights()] == packaged_checkpoints()
    assert load_checkpoint("lite").config == load_checkpoint(CHECKPOINT).config


def test_a_file_comes_before_a_packaged_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lite").mkdir()
    assert named_checkpoint(Path("lite")) == CHECKPOINT
    Path("base").touch()
    assert named_checkpoint(Path("base")) == Path("base")
    assert named_checkpoint(Path("lite.pt")) == Path("lite.pt")
