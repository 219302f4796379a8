"""``granet-export trt --int8`` from fp32: what is calibrated, what is used again, what is refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")

from calibration.pictures.sets import DrawnPictures
from calibration.table import read_table
from export.cli import app
from export.tensorrt.preflight import check_model
from granet.app.console import run_app
from runtime.artefacts.manifest import manifest_path, sha256_of
from runtime.artefacts.onnx_file import read_metadata
from runtime.tensorrt.record import read_record
from runtime.views.rain_strength import rain_strength
from tests.export.trt_ended import TRAINED

FEW = 8


@pytest.fixture(scope="module")
def made(engines_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where ``granet-export trt MODEL --int8`` ran."""
    folder = tmp_path_factory.mktemp("int8")
    for path in (engines_onnx, manifest_path(engines_onnx)):
        shutil.copy(path, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.chdir(folder)
        patch.setattr(
            "calibration.pictures.selection.LEAST", FEW
        )  # many pictures take long, and add nothing here
        assert run_app(app, ["trt", "small.onnx", "--int8", "--size", "32x32"]) == 0
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    status = run_app(app, ["trt", *arguments])
    return status, capsys.readouterr().err


def test_the_chain_leaves_each_step_and_its_hash(made: Path) -> None:
    record = read_record(made / "small.int8.engine")
    table = made / "small.calibration.json"
    assert record.metadata.precision == "int8"
    assert record.onnx == "small.int8.onnx"
    assert record.onnx_sha256 == sha256_of(made / "small.int8.onnx")
    assert record.table_sha256 == sha256_of(table)
    assert read_table(table).model_sha256 == sha256_of(made / "small.onnx")
    assert len(read_table(table).images) == FEW
    model = onnx.load(made / "small.int8.onnx")
    assert check_model(model) == []
    assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def test_existing_files_are_reused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, err = ended(capsys, "small.onnx", "--int8", "--size", "32x32", "-o", "b.engine")
    assert status == 0
    assert "using small.int8.onnx, which was made from small.onnx" in err
    assert "calibrating" not in err


def test_a_note_says_that_calibration_uses_synthetic_rain(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("export.onnx.table_step.calibrate", stop)
    for name in ("small.int8.onnx", "small.int8.onnx.json", "small.calibration.json"):
        (here / name).unlink()
    status, err = ended(capsys, "small.onnx", "--int8", "--size", "32x32", "-o", "b.engine")
    assert status == 130
    assert "note: calibrating on synthetic rain; pictures of your own (--images)" in err
    assert not (here / "small.calibration.json").exists()


def test_few_pictures_are_refused_before_any_work_with_options_that_the_command_has(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("small.int8.onnx", "small.int8.onnx.json", "small.calibration.json"):
        (here / name).unlink()
    (here / "rain").mkdir()
    for number in range(3):
        cv2.imwrite(str(here / "rain" / f"{number}.png"), np.zeros((32, 32, 3), np.uint8))
    before = sorted(here.iterdir())
    for source in ("small.onnx", f"--ckpt={TRAINED}"):
        arguments = ("--int8", "--images", "rain", "--size", "32x32", "-o", "b.engine")
        status, err = ended(capsys, source, *arguments)
        assert status == 1 and err.count("\n") == 1
        assert err.startswith("error: images rain: 3 pictures, but at least 128 are needed: ")
        sentence = err.replace("granet-export calibrate --force", "")
        options = {"--images", "--video", "--data", "--synthesise", "--calibration"}
        assert set(re.findall("--[a-z]+", sentence)) == options
        assert sorted(here.iterdir()) == before


def test_another_models_file_is_not_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fp32 model was exported again since: neither its int8 form nor its table are its own."""
    loaded = onnx.load(here / "small.onnx")
    loaded.producer_version = "later"
    (here / "small.onnx").write_bytes(loaded.SerializeToString())
    manifest_path(here / "small.onnx").unlink()
    arguments = ("small.onnx", "--int8", "--size", "32x32", "-o", "b.engine")
    status, err = ended(capsys, *arguments)
    assert status == 1
    assert "small.int8.onnx exists and was made from another model than small.onnx" in err
    (here / "small.int8.onnx").unlink()
    status, err = ended(capsys, *arguments)
    assert status == 1
    assert "small.calibration.json" in err
    assert not (here / "b.engine").exists()


def test_a_budget_that_is_missed_leaves_no_engine(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Report:
        def misses(self) -> list[str]:
            return ["drop 1.2 dB in the mean, at most 0.1 allowed"]

    class Result:
        report = Report()

    monkeypatch.setattr("export.onnx.quantise_step.open_subject", lambda *_: None)
    monkeypatch.setattr("export.onnx.quantise_step.meet_budget", lambda *_: Result())
    (here / "small.int8.onnx").unlink()
    status, err = ended(capsys, "small.onnx", "--int8", "--size", "32x32", "-o", "b.engine")
    assert status == 3
    assert "nothing written: drop 1.2 dB" in err
    assert not (here / "b.engine").exists() and not (here / "small.int8.onnx").exists()


def test_synthetic_pictures_are_rain_and_the_same_every_time() -> None:
    pictures = DrawnPictures((64, 96), count=6)
    first = [pixels for _, _, pixels in pictures.read()]
    again = {number: pixels for number, _, pixels in pictures.read({1, 4})}
    assert sorted(again) == [1, 4]
    np.testing.assert_array_equal(again[4], first[4])
    assert len({pixels.tobytes() for pixels in first}) == 6
    assert all(pixels.shape == (64, 96, 3) and pixels.dtype == np.uint8 for pixels in first)
    assert min(rain_strength(pixels) for pixels in first) > 0.07


def test_the_metadata_of_the_source_is_kept(made: Path) -> None:
    source, result = (read_metadata(made / name) for name in ("small.onnx", "small.int8.onnx"))
    assert replace(result, precision="fp32", quantisation={}) == source  # type: ignore[call-arg]
