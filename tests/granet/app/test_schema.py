"""Decoded files: the right type, or one line with the file, the field and what was expected there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from granet.app.schema import FileName, Finite, JsonFile, PositiveInt, Sha256, Text, read_bytes, to_json
from granet.errors import UserError


@dataclass(frozen=True)
class Side:
    pixels: PositiveInt

    def __post_init__(self) -> None:
        if self.pixels % 2:
            raise ValueError(f"expected an even number of pixels, got {self.pixels}")


@dataclass(frozen=True)
class Content:
    name: Text
    sides: tuple[Side, Side] | None = None
    colour: Literal["rgb", "bgr"] = "rgb"
    ranges: Mapping[str, tuple[Finite, Finite]] | None = None
    sha256: Sha256 | None = None
    file: FileName = "a.png"
    anything: Any = None


FILE = JsonFile(Content, "test file", "write it again", 3, kind="test")


def text(**changes: Any) -> str:
    return json.dumps({"format": 3, "kind": "test", "name": "a"} | changes)


def test_missing_fields_have_their_defaults() -> None:
    content = FILE.decode(text(sides=[{"pixels": 2}, {"pixels": 4}], ranges={"x": [0, 1.5]}), "f.json")
    assert content == Content("a", (Side(2), Side(4)), ranges={"x": (0.0, 1.5)})


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert FILE.decode(text(added_later=[1, {"a": 2}]), "f.json") == Content("a")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": 3}, "name: expected a non-empty string, got an integer"),
        ({"name": None}, "name: expected a non-empty string, got null"),
        ({"name": ""}, "name: expected a non-empty string"),
        ({"sides": [{"pixels": 2}]}, "sides: expected a list of length 2"),
        ({"sides": [{"pixels": 2}, {}]}, "sides[1].pixels is missing"),
        ({"sides": [{"pixels": 2}, 3]}, "sides[1]: expected a JSON object, got an integer"),
        ({"sides": [{"pixels": 0}, {"pixels": 2}]}, "sides[0].pixels: expected an integer of at least 1"),
        ({"sides": [{"pixels": 2}, {"pixels": True}]}, "sides[1].pixels: expected an integer, got a boolean"),
        ({"sides": [{"pixels": 3}, {}]}, "sides[0]: expected an even number of pixels, got 3"),
        ({"sides": "2x2"}, "sides: expected a list or null, got a string"),
        ({"colour": "grb"}, "colour: expected bgr or rgb, got 'grb'"),
        ({"ranges": {"x": [0, "1"]}}, "ranges[...][1]: expected a finite number, got a string"),
        ({"ranges": {"x": [0]}}, "ranges[...]: expected a list of length 2"),
        ({"ranges": [0]}, "ranges: expected a JSON object or null, got a list"),
        ({"sha256": 64 * "A"}, "sha256: expected 64 hexadecimal digits or null"),
        ({"sha256": 64 * "a" + "\n"}, "sha256: expected 64 hexadecimal digits or null"),
        ({"file": "../a.png"}, "file: expected the name of a file, without a directory"),
        ({"file": ".."}, "file: expected the name of a file, without a directory"),
        ({"file": "a\nb"}, "file: expected the name of a file, without a directory"),
        ({"file": "..png"}, None),
        ({"sides": [{"pixels": 10**400}, {"pixels": 2}]}, None),
    ],
)
def test_the_line_names_file_field_and_what_was_expected(changes: dict[str, Any], reason: str | None) -> None:
    if reason is None:
        FILE.decode(text(**changes), "f.json")
        return
    with pytest.raises(UserError) as error:
        FILE.decode(text(**changes), "f.json")
    assert str(error.value) == f"f.json: the test file is damaged ({reason}): write it again"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "it is not valid JSON: input data was truncated"),
        ("{", "it is not valid JSON: input data was truncated"),
        ("{} {}", "it is not valid JSON: trailing characters"),
        (text()[:-1] + ', "anything": NaN}', "it is not valid JSON: invalid character"),
        (text()[:-1] + ', "anything": 1e999}', "anything: number out of range"),
        (text()[:-1] + f', "anything": {100_000 * "["}', "it is not valid JSON: nested too deeply"),
        (text()[:-1] + f', "unknown": {100_000 * "["}', "it is not valid JSON: nested too deeply"),
        (b'{"format": 3, "kind": "test", "name": "\xff"}', "it is not valid JSON: not UTF-8"),
        ("[]", "expected a JSON object, got a list"),
        (100_000 * "[", "expected a JSON object, got a list"),
        ("3", "expected a JSON object, got an integer"),
    ],
)
def test_invalid_json_is_one_line(data: str | bytes, reason: str) -> None:
    with pytest.raises(UserError) as error:
        FILE.decode(data, "f.json")
    assert str(error.value).startswith(f"f.json: the test file is damaged ({reason}")
    assert str(error.value).endswith("): write it again")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{}", "not a test file"),
        ('{"name": "a"}', "not a test file"),
        ('{"format": 3, "name": "a"}', "not a test file"),
        (text(kind="other"), "not a test file"),
        (text(format=4), "a test file of format 4, this version reads 3"),
        (text(format="new"), "a test file of format 'new', this version reads 3"),
        ('{"format": 4, "kind": "test"}', "a test file of format 4, this version reads 3"),
    ],
)
def test_other_kinds_and_formats_are_distinguished_from_damaged_files(data: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        FILE.decode(data, "f.json")
    assert str(error.value) == f"f.json: {message}: write it again"


def test_a_text_of_the_file_neither_breaks_the_line_nor_floods_it() -> None:
    with pytest.raises(UserError) as error:
        FILE.decode(text(colour="x\n" + 100_000 * "y"), "f.json")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_written_files_are_read_back() -> None:
    content = Content("a", (Side(2), Side(4)), "bgr", {"x": (-1.0, 2.0)}, 64 * "a")
    written = to_json(FILE.values(content), indent=2)
    assert FILE.decode(written, "f.json") == content
    assert list(json.loads(written))[:3] == ["format", "kind", "name"]


@pytest.mark.parametrize(
    "content", [Content(""), Content("a", file="b/c"), Content("a", anything=float("inf"))]
)
def test_content_that_could_not_be_read_back_is_not_written(content: Content) -> None:
    with pytest.raises(ValueError):
        to_json(FILE.values(content))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none", "cannot be read: No such file or directory"),
        (tmp_path, "is a directory, not a file: name a regular file"),
    ):
        with pytest.raises(UserError) as error:
            read_bytes(path)
        assert str(error.value) == f"{path}: {reason}"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (text()[:-1] + ', "name": "b"}', "'name'"),
        ('{"format": 9, ' + text()[1:], "'format'"),
        (text()[:-1] + r', "n\u0061me": "b"}', "'name'"),
        (text(sides=[{"pixels": 2}] * 2).replace('2}]', '2, "pixels": 2}]'), "'pixels'"),
        (text(anything={"a": 1}).replace('"a": 1', '"a": 1, "a": 2'), "'a'"),
    ],
    ids=["field", "format", "escaped", "inner", "unchecked"],
)  # fmt: skip
def test_a_name_that_occurs_twice_is_refused(content: str, name: str) -> None:
    """Some readers take the first value, others the last."""
    with pytest.raises(UserError, match=f"the test file is damaged \\({name} occurs twice\\)"):
        FILE.decode(content, "a.json")
