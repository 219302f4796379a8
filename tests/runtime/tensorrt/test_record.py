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


FILE_NAME = "expected the name of a file, without a directory"
HASH = "expected 64 hexadecimal digits"
TEXT = "expected a non-empty string"
ONE_OF = "expected one of parity and parity_reason"
DLA = "arguments: expected the number of a DLA core after --dla"

WRONG: list[tuple[str, Any, str]] = [
    ("file", "../best.engine", f"file: {FILE_NAME}"),
    ("file", "", f"file: {FILE_NAME}"),
    ("file", "a\nb", f"file: {FILE_NAME}"),
    ("sha256", "abc", f"sha256: {HASH}"),
    ("sha256", "A" * 64, f"sha256: {HASH}"),
    ("onnx", "/etc/passwd", f"onnx: {FILE_NAME}"),
    ("onnx_sha256", None, f"onnx_sha256: {HASH}, got null"),
    ("table_sha256", "", f"table_sha256: {HASH} or null"),
    ("metadata", None, "metadata: expected a JSON object, got null"),
    ("metadata", {}, "metadata.config is missing"),
    ("flavour", "tensorflow", "flavour: expected tensorrt or tensorrt-rtx, got 'tensorflow'"),
    ("version", "", f"version: {TEXT}"),
    ("platform", None, f"platform: {TEXT}, got null"),
    ("compute_capabilities", "8.6", "compute_capabilities: expected a list, got a string"),
    (
        "compute_capabilities",
        ["86"],
        "compute_capabilities[0]: expected a compute capability such as 8.6",
    ),
    # Only TensorRT-RTX's are for more than one kind of GPU.
    ("compute_capabilities", [], "compute_capabilities: expected at least one for an engine of TensorRT"),
    ("cuda", 13, f"cuda: {TEXT} or null, got an integer"),
    ("gpu", "", f"gpu: {TEXT} or null"),
    ("profiles", [], "profiles: expected a list of length 1 or more"),
    ("profiles", [{"min": [1, 48, 64], "opt": [1, 48, 64]}], "profiles[0].max is missing"),
    (
        "profiles",
        [{"min": [1, 48, 64], "opt": [1, 32, 64], "max": [1, 48, 64]}],
        "profiles[0]: expected 0 < min <= opt <= max, got (1, 48, 64), (1, 32, 64), (1, 48, 64)",
    ),
    (
        "profiles",
        [{"min": [1, 48], "opt": [1, 48], "max": [1, 48]}],
        "profiles[0].min: expected a list of length 3",
    ),
    (
        "profiles",
        [{"min": [0, 48, 64], "opt": [1, 48, 64], "max": [1, 48, 64]}],
        "profiles[0]: expected 0 < min <= opt <= max, got (0, 48, 64), (1, 48, 64), (1, 48, 64)",
    ),
    (
        "profiles",
        [{"min": [1, 48, 64.0], "opt": [1, 48, 64], "max": [1, 48, 64]}],
        "profiles[0].min[2]: expected an integer, got a number",
    ),
    (
        "profiles",
        [{"min": [1, 16, 16], "opt": [1, 48, 64], "max": [1, 96, 96]}],
        "profiles: the ONNX model is static, and 16x16 to 96x96 is another size",
    ),
    ("profiles", {}, "profiles: expected a list, got a JSON object"),
    ("layers", {"conv": 1}, "layers[...]: expected a string, got an integer"),
    ("layers", [], "layers: expected a JSON object or null, got a list"),
    ("build_seconds", -1, "build_seconds: expected a finite number of at least 0"),
    ("build_seconds", True, "build_seconds: expected a finite number of at least 0, got a boolean"),
    ("parity", [], "parity: expected a JSON object or null, got a list"),
    ("parity", {}, ONE_OF),  # and a reason why there is none
    ("parity_reason", None, ONE_OF),  # and no parity
    ("warnings", "one", "warnings: expected a list, got a string"),
    ("created", None, f"created: {TEXT}, got null"),
    ("arguments", "--dla 0", "arguments: expected a list, got a string"),
    ("arguments", ["--dla"], DLA),
    ("arguments", ["--dla", "one"], DLA),
    ("arguments", [1], "arguments[0]: expected a string, got an integer"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG)
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, name: str, value: Any, reason: str) -> None:
    path = engine_file(tmp_path, record())
    values = json.loads(record_path(path).read_text())
    record_path(path).write_text(json.dumps(values | {name: value}))
    with pytest.raises(UserError) as caught:
        read_record(path)
    assert str(caught.value) == (
        f"{record_path(path)}: the TensorRT engine record is damaged ({reason}): "
        "build the engine again: granet-export trt"
    )


def test_a_record_that_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(ValueError, match="gpu"):
        record(gpu="").to_json()


@pytest.mark.parametrize("name", sorted(json.loads(record().to_json())))
def test_nothing_may_be_missing(tmp_path: Path, name: str) -> None:
    path = engine_file(tmp_path, record())
    values = json.loads(record_path(path).read_text())
    del values[name]
    record_path(path).write_text(json.dumps(values))
    with pytest.raises(UserError, match="granet-export trt"):
        read_record(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "it is not valid JSON"),
        (b"\xff\xfe", "it is not valid JSON"),
        (b"[]", "expected a JSON object, got a list"),
        (b'{"format": 1, "file": "model.onnx"}', "not a TensorRT engine record: build the engine again"),
        (b'{"format": 99, "kind": "tensorrt-engine"}', "a TensorRT engine record of format 99, this version"),
        (b'{"kind": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_are_not_records(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "best.engine"
    record_path(path).write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_record(path)


def test_without_a_record_the_command_that_makes_both_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"record best\.engine\.json is missing.*granet-export trt"):
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


def test_sides_that_all_profiles_fix_are_static() -> None:
    tall = Profile((1, 480, 640), (1, 480, 640), (1, 960, 640))
    meta = as_built(record(meta=DYNAMIC, profiles=(Profile.fixed(1, 480, 640), tall)))
    assert (meta.batch, meta.height, meta.width) == (1, None, 640)
