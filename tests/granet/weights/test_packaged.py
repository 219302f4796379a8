"""The packaged checkpoints have names in every command and in Python."""

from pathlib import Path

import pytest

from granet import load_checkpoint
from granet.errors import UserError
from granet.weights.packaged import named_checkpoint, packaged_weights
from runtime.models.packaged import CHECKPOINT, packaged_checkpoints


def test_a_name_is_the_packaged_checkpoint() -> None:
    assert [named_checkpoint(name) for name in packaged_weights()] == packaged_checkpoints()
    assert load_checkpoint("lite").config == load_checkpoint(CHECKPOINT).config


def test_a_file_comes_before_a_packaged_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lite").mkdir()
    assert named_checkpoint("lite") == CHECKPOINT
    Path("base").touch()
    assert named_checkpoint("base") == Path("base")
    assert named_checkpoint("lite.pt") == Path("lite.pt")


@pytest.mark.parametrize("path", ["./lite", "sub/../lite", Path("lite")])
def test_a_path_is_never_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_checkpoint(path) == Path(path)
    with pytest.raises(UserError, match="the name of a checkpoint must end in"):
        load_checkpoint(path)
