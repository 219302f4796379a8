"""The calibration table: atomic, reproducible, and valid for only one model."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calibration.table import CalibrationImage, CalibrationTable, read_table, require_for, write_table
from granet.errors import UserError
from runtime.artefacts.artefact import Artefact

TABLE = CalibrationTable(
    model_sha256="ab" * 32,
    method="mse",
    ranges={"relu": (0.0, 1.5), "conv": (-0.25, 1.5), "nothing": (0.0, 0.0)},
    images=(CalibrationImage("ré 1.png", "cd" * 32, (320, 480), 0.25),),
    extremes={"relu": (0.0, 2.0), "conv": (-0.5, 2.0), "nothing": (0.0, 0.0)},
    source="images rain",
)


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
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
    model: Artefact[Any] = Artefact(tmp_path / "other.onnx", b"another model", None)
    with pytest.raises(UserError) as caught:
        require_for(write_table(tmp_path / "t.json", TABLE), model)
    message = str(caught.value)
    digest = hashlib.sha256(b"another model").hexdigest()
    assert "t.json" in message and "abababababab" in message and digest[:12] in message
    assert f"granet-export calibrate {model.path}" in message
    require_for(write_table(tmp_path / "o.json", replace(TABLE, model_sha256=digest)), model)


IMAGE: dict[str, Any] = {"name": "a", "sha256": "cd" * 32, "size": [16, 16], "rain": 0.1}


def changed(**changes: Any) -> str:
    record = {
        "format": 1,
        "method": "mse",
        "model_sha256": "ab" * 32,
        "source": "",
        "images": [IMAGE],
        "extremes": {"a": [-1, 2]},
        "ranges": {"a": [-1, 2]},
    }
    return json.dumps({name: value for name, value in (record | changes).items() if value is not None})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is not valid JSON"),
        (changed()[:-9], "it is not valid JSON"),
        ('{"format": 1, "ranges": ' + "[" * 100_000, "it is not valid JSON: nested too deeply"),
        ("[1, 2]", "expected a JSON object, got a list"),
        ('{"weights": 1}', "not a calibration table"),
        (changed(format=2), "a calibration table of format 2, this version reads 1"),
        (changed(method="magic"), "(method: expected entropy, minmax, mse or percentile, got 'magic')"),
        (changed(images=None), "(images is missing)"),
        (
            changed(images=[IMAGE | {"size": [0, 16]}]),
            "(images[0].size[0]: expected an integer of at least 1)",
        ),
        (changed(images=[IMAGE | {"sha256": "cd"}]), "(images[0].sha256: expected 64 hexadecimal digits)"),
        (changed(images=7), "(images: expected a list, got an integer)"),
        (changed(model_sha256="ab"), "(model_sha256: expected 64 hexadecimal digits)"),
        (changed(ranges={}), "(ranges: expected a JSON object of length 1 or more)"),
        (changed(ranges={"a": [0.5, 2]}), "(range of a: expected low <= 0 <= high, got 0.5, 2.0)"),
        (changed(ranges={"a": [2, -1]}), "(range of a: expected low <= 0 <= high, got 2.0, -1.0)"),
        (changed(extremes={"a": [2, -1]}), "(extremes of a: expected the smaller first)"),
        (changed(ranges={"a": [-1, float("nan")]}), "it is not valid JSON: invalid character"),
        (changed(ranges={"a": [-1, "2"]}), "(ranges[...][1]: expected a finite number, got a string)"),
        (changed(ranges={"a": [1]}), "(ranges[...]: expected a list of length 2)"),
        (changed(ranges=[1]), "(ranges: expected a JSON object, got a list)"),
        (changed(extremes={"b": [-1, 2]}), "(ranges and extremes have different tensors)"),
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


def test_a_failed_write_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_table(path, TABLE)
    before = path.read_bytes()
    endless = {"relu": (0.0, float("inf"))}
    with pytest.raises(ValueError, match="JSON"):
        write_table(path, replace(TABLE, ranges=endless, extremes=endless))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UserError, match="cannot be"):
        write_table(tmp_path / "no" / "t.json", TABLE)
