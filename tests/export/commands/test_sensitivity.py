"""``granet-export sensitivity`` as a user types it."""

import json
from pathlib import Path

import cv2
import pytest

from export.cli import app
from granet.app import extras
from granet.app.console import run_app
from tests.calibration import sample


def test_it_writes_figures_and_a_plot_and_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lite = sample.save(tmp_path)
    table = sample.save_table(tmp_path / "t.json", lite)
    record = tmp_path / "s.json"
    given = ["sensitivity", lite, "--table", table, "-o", record, "--count", "1", "--budget-db", "0.3"]
    assert run_app(app, [*map(str, given), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    # 51 layers: 14 are never quantised.
    assert len(result["layers"]) + len(result["not_worth_it"]) == 51
    assert all(layer["drop_db"] > 0 for layer in result["layers"])
    assert cv2.imread(str(tmp_path / "s.png")).shape[1] > 800
    # Of the multiplications those kept take twice the time: (1 + kept) / (1 + not worth it).
    assert 1.0 <= result["slower"]["times"] < 1 + result["arithmetic_kept"]
    # Known layers are not measured again, and the figures are the same.
    changed = json.loads(record.read_text())
    first = next(iter(changed["noise"]))
    changed["noise"][first] = [12345.0]
    record.write_text(json.dumps(changed))
    assert run_app(app, [*map(str, given), "--json", "--overwrite"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["layers"][0]["layer"] == first and again["layers"][0]["noise"] == 12345.0


def test_the_table_is_for_people_and_bad_use_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lite = sample.save(tmp_path)
    table = sample.save_table(tmp_path / "t.json", lite)
    record = tmp_path / "s.json"
    record.write_text("{}")
    given = ["sensitivity", str(lite), "--table", str(table), "-o", str(record), "--count", "1"]
    assert run_app(app, given) == 1
    err = capsys.readouterr().err
    assert "not a sensitivity file" in err and err.count("\n") == 1
    for plot in (["--plot", str(record)], ["--plot", f"{tmp_path}/../{tmp_path.name}/s.json"]):
        assert run_app(app, [*given, *plot]) == 2
        assert "is the sensitivity file too; give each a name of its own" in capsys.readouterr().err
    assert run_app(app, [*given, "--precision", "fp16"]) == 2
    assert "quantises no layer" in capsys.readouterr().err


def test_a_missing_package_is_named_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lite = sample.save(tmp_path)
    table = sample.save_table(tmp_path / "t.json", lite)
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "matplotlib" else name)
    given = ["sensitivity", str(lite), "--table", str(table), "-o", str(tmp_path / "s.json"), "--count", "1"]
    assert run_app(app, given) == 1
    assert "drawing the plot needs matplotlib, which is not installed" in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()
