"""``granet-export quantize`` as a user types it, on the packaged weights in a small graph."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from export.cli import app
from granet.app.console import run_app
from runtime import open_engine
from runtime.artefacts.manifest import read_manifest, sha256_of
from runtime.artefacts.onnx_file import read_metadata
from tests.calibration import sample


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.save(tmp_path_factory.mktemp("quantize"))


@pytest.fixture(scope="module")
def table(lite: Path) -> Path:
    return sample.save_table(lite.with_suffix(".calibration.json"), lite)


def ended(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = run_app(app, ["quantize", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def error(err: str) -> str:
    """The one line that says what is wrong; the steps that were taken stand before it."""
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert err.endswith(f"{line}\n")
    return line


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_the_file_opens_says_what_it_is_and_is_near_float32(
    target: str, lite: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "q.onnx"
    given = ["--table", table, "--target", target, "-o", path, "--budget-db", "3", "--count", "2", "--json"]
    status, out, err = ended(capsys, lite, *given)
    assert status == 0, err
    report: dict[str, Any] = json.loads(out)
    ends = {"coarse.mask", "fine.reconstruct"}
    assert {name for name in report["kept"] if "region_aware" not in name} == ends
    assert len(report["images"]) == 2
    meta = read_metadata(path)
    assert meta.precision == "int8"
    assert meta.quantisation["model_sha256"] == sha256_of(lite)
    assert meta.quantisation["table_sha256"] == sha256_of(table)
    assert "coarse.region_aware.0.out" in meta.quantisation["kept"]
    manifest = read_manifest(path.with_name("q.onnx.json"))
    assert manifest.sha256 == sha256_of(path) and manifest.parity is not None
    frames = np.stack(sample.pictures(1))[..., ::-1]
    with open_engine(path, "cpu", "onnxruntime") as ours, open_engine(lite, "cpu", "onnxruntime") as theirs:
        difference = ours.run(frames).astype(float) - theirs.run(frames)
        assert 10 * np.log10(255**2 / np.mean(difference**2)) > 38
        assert ours.info.precision == "int8"


def test_a_tight_budget_keeps_more_layers_and_a_looser_one_fewer(
    lite: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "s.json"
    kept = []
    for budget in ("0.2", "0.02"):
        path = tmp_path / f"{budget}.onnx"
        given = ["--table", table, "-o", path, "--budget-db", budget, "--count", "1", "--sensitivity", record]
        status, out, err = ended(capsys, lite, *given, "--json")
        assert status == 0, err
        report = json.loads(out)
        assert report["drop_db"]["expected"]["mean"] <= float(budget)
        kept.append(set(report["kept"]))
    assert kept[0] < kept[1]
    assert len(json.loads(record.read_text())["noise"]) == 51 - 14  # without the attention and the last


def test_float16_is_sixty_db_from_float32(
    lite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "half.onnx"
    status, out, err = ended(capsys, lite, "--precision", "fp16", "-o", path, "--count", "2", "--json")
    assert status == 0, err
    assert json.loads(out)["psnr_to_fp32_db"]["min"] >= 60
    assert read_metadata(path).precision == "fp16"


def test_beyond_the_budget_is_status_3_and_nothing_is_written(
    lite: Path,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calibration.search.quality.HARD_DB", 99.0)
    given = ["--precision", "fp16", "-o", tmp_path / "q.onnx", "--count", "1"]
    status, _, err = ended(capsys, lite, *given)
    assert status == 3
    assert error(err).startswith("error: nothing written: ")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_ends_with_one_line(
    lite: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = sample.save(tmp_path, "other.onnx")
    other.write_bytes(other.read_bytes() + onnx.ModelProto(doc_string="another").SerializeToString())
    half = sample.save(tmp_path, "half.onnx", "fp16")
    old = onnx.load(lite)
    old.opset_import[0].version = 18
    onnx.save(old, tmp_path / "old.onnx")
    old_table = sample.save_table(tmp_path / "old.json", tmp_path / "old.onnx")
    incomplete = sample.save_table(tmp_path / "incomplete.json", lite, without="cat_2")
    corrupt = tmp_path / "corrupt.json"
    corrupt.write_text(table.read_text()[:300])
    there = tmp_path / "there.onnx"
    there.write_bytes(b"mine")
    new = tmp_path / "new.onnx"
    cases = {
        (other, "--table", table): "is not the model of this calibration table",
        (lite, "--table", corrupt): "the calibration table is damaged (it is not valid JSON",
        (lite,): "--table is missing: make one with granet-export calibrate",
        (half, "--table", table): "computes in fp16: use the float32 model",
        (tmp_path / "old.onnx", "--table", old_table): "has opset 18, but quantisation needs 19 or newer",
        (lite, "--table", incomplete): "no range for cat_2",
        (lite, "--table", table, "--keep", "coarse.nothing"): "--keep coarse.nothing: unknown layer",
        (lite, "--table", table, "--images", tmp_path / "none"): "none",
        (corrupt, "--table", table): "not an ONNX file",
        (
            lite,
            "--table",
            table,
            "--sensitivity",
            corrupt,
        ): "the sensitivity file is damaged (it is not valid JSON",
        (lite, "--table", table, "--sensitivity", tmp_path / "no" / "s.json"): "there is no directory",
    }
    for arguments, message in cases.items():
        status, out, err = ended(capsys, *arguments, "-o", new, "--count", "1")
        wrong_usage = "--table" not in arguments
        assert (status, out) == (2 if wrong_usage else 1, ""), (arguments, err)
        assert message in error(err)
        assert "quantising" not in err or any(late in message for late in ("no range", "none"))
    for path, message in {
        there: "exists; add --overwrite to replace it",
        tmp_path / "no" / "q.onnx": "there is no directory",
        tmp_path / "q.engine": "the name of an ONNX file ends in .onnx",
    }.items():
        status, _, err = ended(capsys, lite, "--table", table, "-o", path)
        assert status == (2 if path.suffix == ".engine" else 1) and message in error(err)
    status, _, err = ended(capsys, lite, "--table", table, "-o", new, "--sensitivity", new)
    assert status == 2 and "is the output too; give each a name of its own" in error(err)
    assert there.read_bytes() == b"mine" and not new.exists()


def test_a_model_that_is_quantised_already_is_refused(
    lite: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first.onnx"
    assert ended(capsys, lite, "--table", table, "-o", first, "--budget-db", "3", "--count", "1")[0] == 0
    status, _, err = ended(capsys, first, "--table", table, "-o", tmp_path / "second.onnx")
    assert status == 1
    assert "is already quantised: use the float32 model" in error(err)
