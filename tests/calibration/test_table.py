"""The calibration table: whole, the same bytes again, and for one model only."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calibration.table import CalibrationImage, CalibrationTable, read_table, require_for, write_table
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of

TABLE = CalibrationTable(
    model_sha256="ab" * 32,
    method="mse",
    ranges={"relu": (0.0, 1.5), "conv": (-0.25, 1.5), "nothing": (0.0, 0.0)},
    images=(CalibrationImage("ré 1.png", "cd" * 32, (320, 480), 0.25),),
    extremes={"relu": (0.0, 2.0), "conv": (-0.5, 2.0), "nothing": (0.0, 0.0)},
    source="images rain",
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_table(tmp_path / "t.json", TABLE)
    assert read_table(tmp_path / "t.json") == TABLE
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_equal_tables_give_the_same_bytes_whatever_the_order_of_their_tensors(tmp_path: Path) -> None:
    other = replace(TABLE, ranges=dict(reversed(list(TABLE.ranges.items()))))
    write_table(tmp_path / "a.json", TABLE)
    write_table(tmp_path / "b.json", other)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_person_can_read_and_compare_it(tmp_path: Path) -> None:
    write_table(tmp_path / "t.json", TABLE)
    lines = (tmp_path / "t.json").read_text(encoding="utf-8").splitlines()
    assert '    "conv": [-0.25, 1.5],' in lines  # a tensor a line
    assert sum("ré 1.png" in line and "[320, 480]" in line for line in lines) == 1


def test_a_table_is_refused_for_another_model(tmp_path: Path) -> None:
    model = tmp_path / "other.onnx"
    model.write_bytes(b"another model")
    with pytest.raises(UserError) as caught:
        require_for(TABLE, model)
    message = str(caught.value)
    assert "abababababab" in message and sha256_of(model)[:12] in message
    assert f"granet-export calibrate {model}" in message
    require_for(replace(TABLE, model_sha256=sha256_of(model)), model)


def changed(**changes: Any) -> str:
    record = {
        "format": 1,
        "method": "mse",
        "model_sha256": "ab" * 32,
        "source": "",
        "images": [{"name": "a", "sha256": "cd", "size": [16, 16], "rain": 0.1}],
        "extremes": {"a": [-1, 2]},
        "ranges": {"a": [-1, 2]},
    }
    return json.dumps({name: value for name, value in (record | changes).items() if value is not None})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        (changed()[:-9], "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "not a calibration table"),
        ('{"weights": 1}', "not a calibration table"),
        (changed(format=2), "format 2"),
        (changed(method="magic"), "method 'magic'"),
        (changed(images=None), "'images' is missing"),
        (changed(images=[{"name": "a", "sha256": "cd", "size": [0, 16], "rain": 0.1}]), "image"),
        (changed(images=7), "damaged"),
        (changed(model_sha256="ab"), "model_sha256"),
        (changed(ranges={}), "no ranges"),
        (changed(ranges={"a": [0.5, 2]}), "leaves out 0"),
        (changed(ranges={"a": [2, -1]}), "ranges of a"),
        (changed(ranges={"a": [-1, float("nan")]}), "ranges of a"),
        (changed(ranges={"a": [-1, "2"]}), "ranges of a"),
        (changed(ranges={"a": [1]}), "damaged"),
        (changed(ranges=[1]), "damaged"),
        (changed(extremes={"b": [-1, 2]}), "different tensors"),
    ],
)
def test_a_corrupt_table_is_one_line_that_says_what_to_do(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_table(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and says in message
    assert "granet-export calibrate" in message and "\n" not in message


def test_the_corruptions_start_from_a_table_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(changed())
    assert read_table(tmp_path / "t.json").ranges == {"a": (-1.0, 2.0)}


def test_what_cannot_be_written_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_table(path, TABLE)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_table(path, replace(TABLE, ranges={"relu": (0.0, float("inf"))}))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UserError, match="cannot be"):
        write_table(tmp_path / "no" / "t.json", TABLE)
