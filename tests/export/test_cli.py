"""``granet-export`` as a user types it: what it makes, what it prints, how it ends."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from export.cli import app
from granet import GraNet, GraNetConfig, load_checkpoint, save_checkpoint
from granet.app.console import run_app
from runtime.models.packaged import FLOAT32 as MODEL

LOOSE = ["--mean-db", "0", "--min-db", "0", "--share", "1", "--hard-db", "0"]


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run_app(app, list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def assert_one_line(err: str) -> None:
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_onnx_writes_the_model_and_its_manifest_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = MODEL.with_suffix(".safetensors").resolve()
    monkeypatch.chdir(tmp_path)
    status, out, err = ended(capsys, "onnx", "--ckpt", str(trained), "--size", "160x120")
    assert (status, out) == (0, "")
    assert "lite.onnx" in err and "PSNR" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lite.onnx", "lite.onnx.json"]


def test_parity_prints_json_that_machines_read(
    engines_checkpoint: Path, engines_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = ended(
        capsys,
        "parity",
        str(engines_onnx),
        "--ckpt",
        str(engines_checkpoint),
        "--json",
        "--size",
        "65x47",
        *LOOSE,
    )
    report = json.loads(out)
    assert status == 0
    assert report["passed"] is True
    assert report["psnr_db"]["min"] <= report["psnr_db"]["mean"]
    assert {"pixels_off_by_more_than_1", "largest", "images"} <= report.keys()


def test_parity_takes_the_pictures_of_a_directory(
    engines_checkpoint: Path, engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (40, 56)), ("b.jpg", (33, 70))):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (*size, 3), np.uint8))
    arguments = [
        str(engines_onnx),
        "--ckpt",
        str(engines_checkpoint),
        "--images",
        str(tmp_path),
        "--json",
        *LOOSE,
    ]
    status, out, _ = ended(capsys, "parity", *arguments)
    names = [image["name"] for image in json.loads(out)["images"] if not image["hard"]]
    assert (status, names) == (0, ["a.png 56x40", "b.jpg 70x33"])


def test_missed_parity_exits_3_and_still_reports(
    engines_checkpoint: Path, engines_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        str(engines_onnx),
        "--ckpt",
        str(engines_checkpoint),
        "--json",
        "--size",
        "64x48",
        "--mean-db",
        "999",
    ]
    status, out, err = ended(capsys, "parity", *arguments)
    assert status == 3
    assert json.loads(out)["passed"] is False
    assert_one_line(err)


def test_parity_against_another_networks_checkpoint_exits_3(
    engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pt"
    save_checkpoint(other, GraNet(GraNetConfig(channels=8, growth=4, dense_layers=2, fine_blocks=1)))
    status, _, err = ended(capsys, "parity", str(engines_onnx), "--ckpt", str(other))
    assert status == 3
    assert "another network" in err
    assert_one_line(err)


def test_parity_notices_other_weights(
    engines_checkpoint: Path, engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_checkpoint(engines_checkpoint)
    model.coarse.mask.weight.data *= 1.05
    other = tmp_path / "other.pt"
    save_checkpoint(other, model)
    status, out, err = ended(capsys, "parity", str(engines_onnx), "--ckpt", str(other), "--size", "64x48")
    assert status == 3
    note, error = err.splitlines()[-2:]
    assert note.startswith("note: ") and note.endswith(str(other))
    assert re.fullmatch(r"error: parity missed: mean .* required, and \d+ more", error) and len(error) < 80
    assert f"parity {error.partition('parity ')[2]}" in out


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["onnx", "--ckpt", "none.pt"], 1, "none.pt"),
        (["onnx", "--ckpt", "CKPT", "--size", "64x48", "--dynamic"], 2, "give one of them"),
        (["onnx", "--ckpt", "CKPT", "--size", "64by48"], 2, "480x320"),
        (["onnx", "--ckpt", "CKPT", "--opset", "7"], 2, "--opset"),
        (["onnx", "--ckpt", "CKPT", "-o", "no/such/a.onnx"], 1, "no directory"),
        (["onnx", "--ckpt", "words.pt"], 1, "words.pt"),
        (["onnx", "--ckpt", "CKPT", "--size", "64x48", "--mean-db", "999"], 3, "nothing written"),
        (["onnx"], 2, "--ckpt"),
        (["onnx", "--ckpt", "CKPT", "--bogus"], 2, "--bogus"),
        (["onnx", "--ckpt", "CKPT", "--layout", "planar"], 2, "planar"),
        (["parity", "none.onnx", "--ckpt", "CKPT"], 1, "none.onnx"),
        (["parity", "text.onnx", "--ckpt", "CKPT"], 1, "text.onnx"),
        (["parity", "MODEL", "--ckpt", "CKPT", "--images", "empty"], 1, "no pictures"),
        (["parity", "MODEL", "--ckpt", "CKPT", "--device", "cuda"], 1, "cuda"),
        (["parity", "MODEL", "--ckpt", "CKPT", "--backend", "magic"], 2, "magic"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_a_users_mistake_is_one_line_and_a_status(
    arguments: list[str],
    status: int,
    says: str,
    engines_checkpoint: Path,
    engines_onnx: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.pt").write_text("weights, honestly\n")
    (tmp_path / "text.onnx").write_text("a model, honestly\n")
    (tmp_path / "empty").mkdir()
    stands_for = {"CKPT": str(engines_checkpoint), "MODEL": str(engines_onnx)}
    found, out, err = ended(capsys, *(stands_for.get(argument, argument) for argument in arguments))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (found, out) == (status, "")
    assert len(errors) == 1 and says in errors[0]
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "text.onnx", "words.pt"]


def test_the_command_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = ended(capsys)
    assert (status, err) == (0, "")
    assert out.startswith("Usage: ") and "roofline" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trt", "best.pt"], "best.pt is a checkpoint: write --ckpt best.pt"),
        (
            ["onnx", "--ckpt", "a.pt", "best.pt"],
            "unexpected argument best.pt: a.pt is given too; give one of the two",
        ),
        (["onnx", "--ckpt", "a.pt", "--ckpt", "best.pt"], "--ckpt is given 2 times: give it once"),
    ],
)
def test_a_second_or_misplaced_checkpoint_is_wrong_usage(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(capsys, *arguments) == (2, "", f"error: {says}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["onnx", "any.pt"],
        ["parity", "lite", "--ckpt", "any.pt"],
        ["calibrate", "lite", "--data", "drawn:2"],
        ["quantize", "lite", "--table", "any.json"],
        ["sensitivity", "lite", "--table", "any.json"],
        ["trt", "lite"],
        ["inspect", "lite"],
        ["roofline", "lite"],
    ],
)
def test_every_command_without_onnx_says_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util, sys\n"
        "gone, find = ('onnx', 'torch'), util.find_spec\n"
        "sys.modules.update(dict.fromkeys(gone))\n"
        "util.find_spec = lambda name, *rest: None if name in gone else find(name, *rest)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "export.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        check=False,
    )
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert (
        "which is not installed: pip install onnx" in ended.stderr or "pip install torch onnx" in ended.stderr
    )


def test_an_edge_box_learns_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("granet.app.extras.find_spec", lambda name: None if name == "onnx" else object())
    status, _, err = ended(capsys, "onnx", "--ckpt", "any.pt")
    assert status == 1
    assert err == "error: making a model needs onnx, which is not installed: pip install onnx\n"
    assert_one_line(err)
