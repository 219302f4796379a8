"""The export as a user has it: a file with its record and its manifest, or nothing."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import onnx
import pytest

from export.onnx import export as onnx_export
from export.onnx.checkpoint_file import CheckpointFile, opened_checkpoint
from export.onnx.export import ExportOptions, check_export, export_onnx, exported_metadata
from granet import load_checkpoint
from granet.errors import ParityError, UserError
from runtime.artefacts.manifest import read_manifest, sha256_of, verify
from runtime.artefacts.onnx_file import read_metadata
from runtime.checks.parity import ParityBudget
from runtime.sinks.part_file import PartFile

ANY = ParityBudget(mean_db=0, min_db=0, share=1, hard_db=0)
IMPOSSIBLE = ParityBudget(mean_db=1000, min_db=0, share=1, hard_db=0)
STATIC = ExportOptions(size=(45, 61))


@pytest.fixture(scope="module")
def checkpoint(engines_checkpoint: Path) -> Iterator[CheckpointFile]:
    with opened_checkpoint(engines_checkpoint) as opened:
        yield opened


@pytest.fixture(scope="module")
def exported(checkpoint: CheckpointFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "small.onnx"
    export_onnx(checkpoint, path, replace(STATIC, stages=True), ANY)
    return path


def test_the_file_says_what_it_is(exported: Path, engines_checkpoint: Path) -> None:
    metadata = read_metadata(exported)
    assert metadata.config == asdict(load_checkpoint(engines_checkpoint).config)
    assert metadata.checkpoint_sha256 == sha256_of(engines_checkpoint)
    assert (metadata.precision, metadata.layout, metadata.colour) == ("fp32", "frames", "bgr")
    assert (metadata.multiple, metadata.extent) == (8, 512)
    assert metadata.weights == {"origin": "random"}
    assert {"torch", "onnx"} <= metadata.versions.keys()


def test_a_static_size_is_rounded_up_by_the_padding_rule(exported: Path) -> None:
    graph = onnx.load(exported).graph
    shapes = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in (*graph.input, *graph.output)
    ]
    assert shapes == [[1, 48, 64, 3]] * 4  # 45 x 61, in multiples of 8
    assert [value.name for value in graph.output] == ["derained", "mask", "coarse"]
    assert (read_metadata(exported).height, read_metadata(exported).width) == (48, 64)


def test_the_manifest_is_of_this_very_file(exported: Path) -> None:
    manifest = verify(exported)
    assert manifest is not None and manifest.sha256 == sha256_of(exported)
    assert manifest.parity is not None
    assert manifest.parity["passed"] is True
    assert len(manifest.parity["images"]) >= 8


def test_nothing_of_the_exporting_machine_is_in_it(exported: Path) -> None:
    content = exported.read_bytes()
    for trace in (str(Path(onnx_export.__file__).parents[2]), "stack_trace", str(Path.home()), ".py"):
        assert trace.encode() not in content


def test_the_same_checkpoint_gives_the_same_bytes(
    exported: Path, checkpoint: CheckpointFile, tmp_path: Path
) -> None:
    again = tmp_path / "again.onnx"
    export_onnx(checkpoint, again, replace(STATIC, stages=True), ANY)
    assert sha256_of(again) == sha256_of(exported)


def test_missed_parity_leaves_nothing(checkpoint: CheckpointFile, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="nothing written") as error:
        export_onnx(checkpoint, tmp_path / "a.onnx", STATIC, IMPOSSIBLE)
    assert error.value.exit_status == 3
    assert list(tmp_path.iterdir()) == []


def test_missed_parity_leaves_an_older_file_alone(checkpoint: CheckpointFile, tmp_path: Path) -> None:
    old = tmp_path / "a.onnx"
    old.write_bytes(b"old")
    with pytest.raises(ParityError):
        export_onnx(checkpoint, old, replace(STATIC, overwrite=True), IMPOSSIBLE)
    assert old.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.txt", STATIC, "ends in .onnx"),
        ("none/a.onnx", STATIC, "no directory"),
        ("there.onnx", STATIC, "--overwrite"),
        ("a.onnx", replace(STATIC, size=(15, 64)), "too small"),
    ],
)
def test_bad_destinations_and_options(
    checkpoint: CheckpointFile, tmp_path: Path, name: str, options: ExportOptions, message: str
) -> None:
    (tmp_path / "there.onnx").write_bytes(b"mine")
    with pytest.raises(UserError, match=message) as error:
        check_export(tmp_path / name, options)
        exported_metadata(checkpoint, options)
    assert "\n" not in str(error.value)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("there.onnx", b"mine")]


def test_a_damaged_manifest_is_noticed(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(exported.read_bytes() + b"\0")
    record = json.loads(exported.with_name("small.onnx.json").read_text())
    copy.with_name("copy.onnx.json").write_text(json.dumps(record))
    assert read_manifest(copy.with_name("copy.onnx.json")).file == "small.onnx"
    with pytest.raises(UserError, match="changed"):
        verify(copy)


def test_a_full_disk_leaves_no_half_of_an_export(
    checkpoint: CheckpointFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = PartFile.write

    def full(part: PartFile, content: bytes) -> None:
        if part.path.suffix == ".json":
            raise UserError("a.onnx.json: cannot be written: No space left on device")
        written(part, content)

    monkeypatch.setattr(PartFile, "write", full)
    with pytest.raises(UserError, match="No space left"):
        export_onnx(checkpoint, tmp_path / "a.onnx", STATIC, ANY)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.onnx").write_bytes(b"old")
    with pytest.raises(UserError, match="No space left"):
        export_onnx(checkpoint, tmp_path / "a.onnx", replace(STATIC, overwrite=True), ANY)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.onnx", b"old")]
