"""The packaged model by its name."""

from pathlib import Path

import pytest

from export.commands.options import named_model
from runtime.models.packaged import packaged_model


def test_a_folder_of_the_same_name_does_not_hide_the_packaged_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lite").mkdir()
    monkeypatch.chdir(tmp_path)
    assert named_model("./lite") == Path("lite")
    assert named_model("lite") == packaged_model("lite", "cpu", "onnxruntime", "MODEL")
