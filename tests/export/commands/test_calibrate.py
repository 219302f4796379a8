"""``granet-export calibrate`` as a user types it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.table import open_table, read_table, require_for
from export.cli import app
from granet.app.console import run_app
from runtime.artefacts.artefact import read_model
from runtime.artefacts.manifest import sha256_of
from tests.calibration.rain_pictures import SIZE, write_pictures
from tests.calibration.small_model import FLOATS, small_file
from tests.media import make_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of any size, one of 48x32, and enough rain."""
    root = tmp_path_factory.mktemp("calibrate")
    small_file(root / "any.onnx")
    small_file(root / "static.onnx", height=32, width=48, batch=1)
    small_file(root / "int8.onnx", precision="int8")
    write_pictures(root / "rain", rainy=130)
    write_pictures(root / "few", rainy=5)
    write_pictures(root / "dry", rainy=0, dry=128)
    write_pictures(root / "broken", rainy=3)
    (root / "broken" / "p1.png").write_bytes(b"a picture, honestly")
    make_clip(root / "short.mkv", 4)
    return root


@pytest.fixture
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the data is in ``data``."""
    (tmp_path / "data").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run_app(app, ["calibrate", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_table_is_written_here_and_one_line_says_of_what(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = ended(capsys, "data/any.onnx", "--images", "data/rain", "--count", "128")
    assert (status, out) == (0, "")
    assert "any.calibration.json: 12 tensors by mse on 128 of 130 pictures (images rain)" in err
    file = open_table(here / "any.calibration.json")
    require_for(file, read_model(here / "data" / "any.onnx"))
    table = file.metadata
    assert set(table.ranges) == set(table.extremes) == FLOATS | {"nhwc"}
    assert len(table.images) == 128 and {image.size for image in table.images} == {SIZE}
    for name, (low, high) in table.ranges.items():
        assert low <= 0 <= high
        assert table.extremes[name][0] <= low or low == 0
        assert high <= table.extremes[name][1]
    assert table.extremes["cast"][1] <= 255


def test_made_again_it_has_the_same_bytes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("data/static.onnx", "--synthesise", "data/dry", "--count", "6", "--force")
    for name in ("a.json", "b.json"):
        assert ended(capsys, *command, "-o", name)[0] == 0
    assert ended(capsys, *command, "-o", "c.json", "--seed", "1")[0] == 0
    assert (here / "a.json").read_bytes() == (here / "b.json").read_bytes()
    assert (here / "a.json").read_bytes() != (here / "c.json").read_bytes()
    assert str(here) not in (here / "a.json").read_text()
    assert read_table(here / "a.json").images[0].size == (32, 48)  # cut to the model


def test_methods_give_other_ranges_and_the_same_extremes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {}
    for method in ("minmax", "percentile", "entropy", "mse"):
        options = ("--images", "data/few", "--force", "--method", method, "-o", f"{method}.json")
        assert ended(capsys, "data/any.onnx", *options)[0] == 0
        tables[method] = read_table(here / f"{method}.json")
    assert len({table.ranges["conv"] for table in tables.values()}) >= 3
    assert len({table.extremes["conv"] for table in tables.values()}) == 1
    low, high = tables["minmax"].extremes["relu"]
    assert tables["minmax"].ranges["relu"] == (0.0, high) and low == 0.0


def test_size_cuts_the_pictures_of_a_dynamic_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--images", "data/few", "--force", "--size", "40x24")
    assert ended(capsys, "data/any.onnx", *options)[0] == 0
    assert {image.size for image in read_table(here / "any.calibration.json").images} == {(24, 40)}


def test_of_a_data_set_the_rainy_halves_are_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pairs").mkdir()
    for i in range(3):
        clean, rainy = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 50 + i, np.uint8)
        cv2.imwrite(str(here / "pairs" / f"{i}.png"), np.hstack([clean, rainy]))
    status, _, err = ended(capsys, "data/any.onnx", "--data", "rain800:pairs", "--force")
    assert status == 0 and "note: data set Rain800: 3 pictures" in err
    assert read_table(here / "any.calibration.json").extremes["cast"] == (50.0, 52.0)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["data/any.onnx", "--images", "data/few"], 1, "5 pictures, but at least 128 are needed"),
        (["data/any.onnx", "--images", "data/dry"], 1, "of 128 pictures look dry"),
        (["data/any.onnx", "--video", "data/short.mkv"], 1, "4 pictures, but at least 128"),
        (["data/any.onnx", "--images", "data/broken", "--force"], 1, "p1.png"),
        (["data/any.onnx", "--images", "data/none"], 1, "none"),
        (["data/any.onnx", "--video", "data/any.onnx"], 1, "not a supported video or picture"),
        (["data/any.onnx", "--data", "rain9000:data"], 2, "is not a data set"),
        (["data/any.onnx", "--synthesise", "data/none"], 1, "no such directory"),
        (["data/int8.onnx", "--images", "data/few"], 1, "is already quantised"),
        (["data/few/p1.png", "--images", "data/few"], 1, "not an ONNX file"),
        (["data/none.onnx", "--images", "data/few"], 1, "none.onnx"),
        (["data/static.onnx", "--images", "data/few", "--size", "64x64"], 1, "takes only 48x32"),
        (["data/any.onnx", "--images", "data/few", "--size", "8x8", "--force"], 1, "too small"),
        (["data/any.onnx", "--images", "data/few", "-o", "no/such.json"], 1, "no directory"),
        (["data/any.onnx", "--images", "data/few", "-o", "data/any.onnx", "--overwrite"], 1, "is the input"),
        (["data/any.onnx"], 2, "give one of --images"),
        (["data/any.onnx", "--images", "data/few", "--video", "data/short.mkv"], 2, "give one of"),
        (["data/any.onnx", "--images", "data/few", "--method", "magic"], 2, "magic"),
        (["data/any.onnx", "--images", "data/few", "--count", "0"], 2, "--count"),
    ],
)
def test_a_users_mistake_is_one_line_and_a_status(
    arguments: list[str], status: int, says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = ended(capsys, *arguments)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (found, out) == (status, "")
    assert len(errors) == 1 and says in errors[0]
    assert [path.name for path in here.iterdir()] == ["data"]


def test_a_table_is_replaced_only_if_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = here / "any.calibration.json"
    table.write_text("mine")
    command = ("data/any.onnx", "--images", "data/few", "--force")
    status, _, err = ended(capsys, *command)
    assert status == 1 and "--overwrite" in err and table.read_text() == "mine"
    assert ended(capsys, *command, "--overwrite")[0] == 0
    assert json.loads(table.read_text())["model_sha256"] == sha256_of(here / "data" / "any.onnx")


def test_where_a_package_is_missing_it_says_what_to_install(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("granet.app.extras.find_spec", lambda name: None)
    status, _, err = ended(capsys, "data/any.onnx", "--images", "data/few")
    assert status == 1
    assert err == (
        "error: calibrating needs onnx and onnxruntime, which are not installed: "
        "pip install onnx onnxruntime (for NVIDIA GPUs: onnxruntime-gpu)\n"
    )
