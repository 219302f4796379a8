"""The record beside an engine: whole or not there, strict, and the same bytes for the same facts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from granet.errors import UserError
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.record import EngineRecord, as_built, read_record, record_path, write_record
from tests.runtime.tensorrt.engine_files import engine_file, record

DYNAMIC = {"height": None, "width": None, "batch": None}
RANGE = Profile((1, 16, 16), (1, 480, 640), (4, 1080, 1920))


@pytest.mark.parametrize(
    "made",
    [
        record(),
        record("tensorrt-rtx", compute_capabilities=(), cuda=None, driver=None, gpu=None, layers=None),
        record(meta=DYNAMIC, profiles=(RANGE, Profile.fixed(1, 48, 64)), warnings=("two", "lines")),
        record(parity={"passed": True, "psnr_db": {"mean": 71.5}}, parity_reason=None, table_sha256="a" * 64),
    ],
)
def test_what_is_written_is_read(tmp_path: Path, made: EngineRecord) -> None:
    path = tmp_path / "best.engine"
    assert write_record(path, made) == path.with_name("best.engine.json") == record_path(path)
    assert read_record(path) == made
    assert read_record(path).to_json() == record_path(path).read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["best.engine.json"]


def test_the_names_that_other_programs_read() -> None:
    values = json.loads(record(meta=DYNAMIC, profiles=(RANGE,)).to_json())
    assert values["format"] == 1 and values["kind"] == "tensorrt-engine"
    assert values["profiles"] == [{"min": [1, 16, 16], "opt": [1, 480, 640], "max": [4, 1080, 1920]}]
    assert values["metadata"]["colour"] == "bgr" and values["metadata"]["multiple"] == 8
    assert values["sha256"] != values["onnx_sha256"]
    assert record().checkpoint_sha256 == "0" * 64


WRONG: list[tuple[str, Any]] = [
    ("file", "../best.engine"),
    ("file", ""),
    ("file", "a\nb"),
    ("sha256", "abc"),
    ("sha256", "A" * 64),
    ("onnx", "/etc/passwd"),
    ("onnx_sha256", None),
    ("table_sha256", ""),
    ("metadata", None),
    ("metadata", {}),
    ("flavour", "tensorflow"),
    ("version", ""),
    ("platform", None),
    ("compute_capabilities", "8.6"),
    ("compute_capabilities", ["86"]),
    ("compute_capabilities", []),  # only TensorRT-RTX's are for more than one kind of GPU
    ("cuda", 13),
    ("gpu", ""),
    ("profiles", []),
    ("profiles", [{"min": [1, 48, 64], "opt": [1, 48, 64]}]),
    ("profiles", [{"min": [1, 48, 64], "opt": [1, 32, 64], "max": [1, 48, 64]}]),
    ("profiles", [{"min": [1, 48], "opt": [1, 48], "max": [1, 48]}]),
    ("profiles", [{"min": [0, 48, 64], "opt": [1, 48, 64], "max": [1, 48, 64]}]),
    ("profiles", [{"min": [1, 48, 64.0], "opt": [1, 48, 64], "max": [1, 48, 64]}]),
    ("profiles", [{"min": [1, 16, 16], "opt": [1, 48, 64], "max": [1, 96, 96]}]),  # the model is 64x48
    ("profiles", {}),
    ("layers", {"conv": 1}),
    ("layers", []),
    ("build_seconds", -1),
    ("build_seconds", True),
    ("parity", []),
    ("parity", {}),  # and a reason why there is none
    ("parity_reason", None),  # and no parity
    ("warnings", "one"),
    ("created", None),
    ("arguments", "--dla 0"),
    ("arguments", ["--dla"]),
    ("arguments", ["--dla", "one"]),
    ("arguments", [1]),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, name: str, value: Any) -> None:
    path = engine_file(tmp_path, record())
    values = json.loads(record_path(path).read_text())
    record_path(path).write_text(json.dumps(values | {name: value}))
    with pytest.raises(UserError, match="damaged") as caught:
        read_record(path)
    assert "\n" not in str(caught.value) and "best.engine.json" in str(caught.value)


@pytest.mark.parametrize("name", sorted(json.loads(record().to_json())))
def test_nothing_may_be_missing(tmp_path: Path, name: str) -> None:
    path = engine_file(tmp_path, record())
    values = json.loads(record_path(path).read_text())
    del values[name]
    record_path(path).write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"granet-export trt|export it again"):
        read_record(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "not the record of a TensorRT engine"),
        (b'{"format": 1, "file": "model.onnx"}', "not the record of a TensorRT engine"),
        (b'{"format": 99, "kind": "tensorrt-engine"}', "format 99"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_other_files_are_no_records(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "best.engine"
    record_path(path).write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_record(path)


def test_without_a_record_the_command_that_makes_both_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no record best\.engine\.json.*granet-export trt"):
        read_record(tmp_path / "best.engine")


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = engine_file(tmp_path, record())
    with pytest.raises(UserError, match="cannot be written"):
        write_record(tmp_path / "none" / "best.engine", record())
    with pytest.raises(ValueError):
        write_record(path, replace(record(), parity={"psnr": float("inf")}, parity_reason=None))
    assert read_record(path) == record()


def test_the_dla_core_is_among_the_arguments() -> None:
    assert record(arguments=("--size", "64x48", "--dla", "1")).dla_core == 1
    assert record(arguments=("--size", "64x48")).dla_core is None


class TestProfile:
    def test_takes_what_lies_between(self) -> None:
        for shape in ((1, 16, 16), (4, 1080, 1920), (2, 480, 640)):
            assert RANGE.takes(shape)
        for shape in ((5, 480, 640), (1, 15, 640), (1, 480, 1921)):
            assert not RANGE.takes(shape)

    def test_people_read_width_first(self) -> None:
        assert str(RANGE) == "1 to 4 frames of 16x16 to 1920x1080"
        assert str(Profile.fixed(1, 480, 640)) == "640x480"
        assert str(Profile.fixed(2, 480, 640)) == "2 frames of 640x480"
        assert str(Profile((1, 16, 16), (1, 48, 64), (1, 96, 128))) == "16x16 to 128x96"

    def test_static_or_not(self) -> None:
        assert Profile.fixed(1, 480, 640).is_static and not RANGE.is_static


def test_what_all_profiles_fix_is_static() -> None:
    tall = Profile((1, 480, 640), (1, 480, 640), (1, 960, 640))
    meta = as_built(record(meta=DYNAMIC, profiles=(Profile.fixed(1, 480, 640), tall)))
    assert (meta.batch, meta.height, meta.width) == (1, None, 640)
