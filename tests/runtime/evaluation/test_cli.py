"""``granet-eval`` as a user calls it: every flag, and every mistake is one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import runtime.evaluation.models as evaluated_models
from granet import GraNet, GraNetConfig, save_checkpoint
from granet.app.console import run_app
from granet.synthetic.street import street
from runtime.engines.base import Engine
from runtime.evaluation.cli import app
from runtime.media.frame import Pixels
from runtime.open import open_engine
from tests.granet.flat_data import CLEAN, RAIN, flat, halve, psnr, write_pairs
from tests.runtime.fakes import FakeEngine
from tests.runtime.handmade import inverting_file

ROOT = Path(__file__).parents[3]
PACKAGED = ROOT / "runtime" / "models"
RAIN100L = ROOT.parent / "shared" / "data" / "rain100l-test"

Invoke = Callable[[str], tuple[int, str, str]]


class Halving(FakeEngine):
    """Takes half of the rain away that :func:`write_pairs` adds."""

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        return (halve(batch),)


def fake_engine(path: Path, device: str, backend: str, *, colour: str) -> Engine:
    """Checkpoints are real, exported models are faked."""
    if path.suffix == ".onnx":
        return FakeEngine() if path.stem == "still" else Halving()
    return open_engine(path, device, backend, colour=colour)  # type: ignore[arg-type]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    """Runs ``granet-eval`` beside the pairs ``data`` and the photographs ``photos``; (status, out, err)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluated_models, "open_engine", fake_engine)
    write_pairs(tmp_path / "data")
    (tmp_path / "photos").mkdir()
    for index in range(2):
        cv2.imwrite(f"photos/{index + 1}.png", street(32, 48, seed=index))

    def call(line: str) -> tuple[int, str, str]:
        status = run_app(app, line.split())
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def checkpoints(tmp_path: Path) -> None:
    """A small checkpoint of two of the four ablations: ``coarse.pt`` and ``full.pt``."""
    full = GraNetConfig(channels=4, growth=2, dense_layers=1, nonlocal_channels=2, fine_blocks=1)
    for name, setting in (("full", "Coarse + Fine (w/ Context)"), ("coarse", "Only Coarse w/ RA")):
        save_checkpoint(tmp_path / f"{name}.pt", GraNet(full.ablations()[setting]))


def test_the_result_stands_beside_the_rainy_input(invoke: Invoke) -> None:
    status, out, err = invoke("--model half.onnx --model still.onnx --data rain100l:data")
    assert status == 0 and err.splitlines() == ["half.onnx: fake, cpu, fp32", "still.onnx: fake, cpu, fp32"]
    means = {"rainy": np.mean([psnr(rain) for rain in RAIN]), "half": np.mean([psnr(r / 2) for r in RAIN])}
    lines = out.splitlines()
    for subject, mean in (
        ("rainy input", means["rainy"]),
        ("half.onnx", means["half"]),
        ("still.onnx", means["rainy"]),
    ):
        line = next(line for line in lines if f" {subject} " in line)
        assert f" {mean:.2f} / " in line and f" {mean + 20 * np.log10(255 / 219):.2f} / " in line
    assert any("Rain100L, 3 pictures" in line for line in lines)


def test_json_is_all_of_stdout_and_has_every_picture(invoke: Invoke) -> None:
    status, out, _ = invoke("--model half.onnx --data rain100l:data --clean data/clean --limit 2 --json")
    assert status == 0
    report = json.loads(out)
    assert set(report) == {"models", "data", "stages", "clean"}
    assert report["models"][0]["file"] == "half.onnx" and report["models"][0]["device"] == "cpu"
    rows = report["data"][0]["rows"]
    assert [row["name"] for row in rows] == ["rain-1", "rain-2"]
    assert rows[1]["rainy input"]["paper"]["psnr_db"] == pytest.approx(psnr(RAIN[1]), abs=1e-6)
    assert rows[1]["half.onnx"]["paper"]["psnr_db"] == pytest.approx(psnr(RAIN[1] / 2), abs=1e-6)
    assert (report["clean"]["pictures"], report["clean"]["of"]) == (2, 3)
    assert report["clean"]["mean"] == {
        "half.onnx": {
            "paper": {"psnr_db": 100, "ssim": pytest.approx(1)},
            "matlab": {"psnr_db": 100, "ssim": pytest.approx(1)},
        }
    }


def test_a_packaged_model_is_known_by_its_name(invoke: Invoke) -> None:
    status, out, err = invoke("--model lite --data rain100l:data --limit 1 --backend onnxruntime --json")
    assert status == 0 and err == "lite.onnx: fake, cpu, fp32\n"
    assert json.loads(out)["models"][0]["file"] == str(PACKAGED / "lite.onnx")


def test_pairs_are_measured_beside_figure_6(invoke: Invoke, checkpoints: None) -> None:
    status, out, _ = invoke("--ckpt full.pt --data rain100l:data --limit 1 --images photos --figure6 6.png")
    assert status == 0 and "Rain100L, first 1 of 3 pictures" in out


def test_dry_pictures_alone_with_several_models(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "dry").mkdir()
    cv2.imwrite("dry/1.png", flat(CLEAN))
    cv2.imwrite("dry/2.png", flat(CLEAN + 20))  # which `halve` takes for rain of 20 levels
    status, out, _ = invoke("--model half.onnx --model still.onnx --clean dry")
    assert status == 0
    line = next(line for line in out.splitlines() if " half.onnx " in line)
    assert f" {(100 + psnr(10)) / 2:.2f} / " in line and f" {psnr(10):.2f} / " in line
    assert line.rstrip(" │").endswith(" 2")  # the worst picture
    assert "100.00 / 1.0000" in next(line for line in out.splitlines() if " still.onnx " in line)


@pytest.mark.usefixtures("checkpoints")
def test_tables_by_one_flag_each(invoke: Invoke) -> None:
    both = "--ckpt full.pt --ckpt coarse.pt --data rain100l:data --limit 1"
    for flags, titles in (
        ("--table1", ["table 1"]),
        ("--table2", ["table 2"]),
        ("--table3", ["table 3", "table 3"]),
        ("--tables", ["table 1", "table 2", "table 3", "table 3"]),
    ):
        status, out, _ = invoke(f"{both} {flags}")
        assert status == 0
        assert [line.strip()[:7] for line in out.splitlines() if line.strip().startswith("table")] == titles
    assert "missing: Only Coarse w/o RA, Coarse + Fine (w/o Context);" in out
    assert "table 3: PSNR / SSIM of the stages of coarse.pt" in out


def test_only_the_tables_that_the_models_allow(invoke: Invoke, tmp_path: Path) -> None:
    """One exported model has no stages, and nothing to be compared with in table 2."""
    inverting_file(tmp_path / "half.onnx")
    status, out, _ = invoke("--model half.onnx --data rain100l:data --tables")
    assert status == 0 and "table 1" in out
    assert "table 2" not in out and "table 3" not in out


@pytest.mark.usefixtures("checkpoints")
def test_figures_by_one_flag_each(invoke: Invoke, tmp_path: Path) -> None:
    status, out, err = invoke("--ckpt full.pt --images photos --figure6 6.png --pick 2.png")
    assert (status, out) == (0, "") and "wrote 6.png" in err
    status, out, _ = invoke("--ckpt full.pt --data rain100l:data --figure7 7.png")
    assert (status, out) == (0, "")
    status, out, _ = invoke("--model half.onnx --data rain100l:data --figure8 8.png")
    assert status == 0 and "Rain100L, 3 pictures" in out
    shapes = {number: cv2.imread(f"{number}.png").shape for number in (6, 7, 8)}
    assert shapes[7][0] > 2 * shapes[6][0] and shapes[7][1] > shapes[6][1]  # 3 rows to 1, 5 columns to 4
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["6.png", "7.png", "8.png"]


def make_mistakes(directory: Path) -> None:
    (directory / "empty").mkdir()
    (directory / "text.pt").write_text("hello")
    (directory / "there.png").write_bytes(b"precious")
    for name, pixels in (("tiny", flat(CLEAN, 9, 9)), ("other", flat(CLEAN, 32, 24))):
        for side in ("rainy", "clean"):
            (directory / name / side).mkdir(parents=True)
            size = flat(CLEAN) if (name, side) == ("other", "clean") else pixels
            cv2.imwrite(str(directory / name / side / "1.png"), size)
    for side in ("rainy", "clean"):
        (directory / "damaged" / side).mkdir(parents=True)
        (directory / "damaged" / side / "1.png").write_bytes(b"hello")
        (directory / "unpaired" / side).mkdir(parents=True)
    cv2.imwrite(str(directory / "unpaired" / "rainy" / "1.png"), flat(CLEAN))
    cv2.imwrite(str(directory / "unpaired" / "rainy" / "2.png"), flat(CLEAN))
    cv2.imwrite(str(directory / "unpaired" / "clean" / "1.png"), flat(CLEAN))


PAIRS = "--data rain100l:data"


@pytest.mark.usefixtures("checkpoints")
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("", 2, "no model is named"),
        (PAIRS, 2, "no model is named"),
        ("--model half.onnx", 2, "no pictures are named"),
        (f"--model fast {PAIRS}", 2, "--model fast: give lite or base for a packaged model, or a path"),
        (f"--model half.onnx {PAIRS} --limit 0", 2, "--limit"),
        (f"--ckpt full.pt {PAIRS} --figure7 7.png --figure8 7.png", 2, "same name"),
        (f"--model half.onnx {PAIRS} --nonsense", 2, "--nonsense"),
        (f"--model half.onnx --model half.onnx {PAIRS}", 2, "--model half.onnx is given twice: give it once"),
        (f"--ckpt missing.pt {PAIRS}", 1, "missing.pt: no such model file"),
        (f"--ckpt text.pt {PAIRS}", 1, "text.pt: "),
        (f"--ckpt full.pt {PAIRS} --device gpu", 1, "torch does not support device gpu"),
        ("--model half.onnx --data data", 2, "--data: 'data' is not a data set"),
        ("--model half.onnx --data rain100l:missing", 1, "missing"),
        ("--model half.onnx --data rain100l:empty", 1, "empty"),
        ("--model half.onnx --data pairs:empty,empty", 1, "no pictures"),
        ("--model half.onnx --data pairs:unpaired/rainy,unpaired/clean", 1, "unpaired"),
        ("--model half.onnx --data pairs:damaged/rainy,damaged/clean", 1, "1.png"),
        ("--model half.onnx --data pairs:other/rainy,other/clean", 1, "24x32"),
        ("--ckpt full.pt --data pairs:tiny/rainy,tiny/clean", 1, "1: a frame of 9x9 pixels is too small"),
        ("--model half.onnx --clean empty", 1, "empty: no pictures"),
        ("--model half.onnx --clean missing", 1, "missing"),
        (f"--ckpt full.pt {PAIRS} --figure7 7.png --pick rain-9", 1, "--pick rain-9: no such picture"),
        ("--ckpt full.pt --images empty --figure6 6.png", 1, "empty: no pictures"),
        (f"--ckpt full.pt {PAIRS} --figure7 there.png", 1, "--overwrite"),
        (f"--ckpt full.pt {PAIRS} --figure7 7.pdf", 2, "figures are PNG"),
        (f"--ckpt full.pt {PAIRS} --figure7 no/7.png", 1, "no directory no"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    invoke: Invoke, tmp_path: Path, arguments: str, status: int, message: str
) -> None:
    make_mistakes(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    got, out, err = invoke(arguments)
    assert (got, out) == (status, "")
    error = [line for line in err.splitlines() if ": fake, cpu" not in line and ": torch 2" not in line]
    assert len(error) == 1 and error[0].startswith("error: ") and message in error[0]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_figure_is_replaced_if_asked(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "8.png").write_bytes(b"old")
    assert invoke(f"--model half.onnx {PAIRS} --figure8 8.png --overwrite")[0] == 0
    assert cv2.imread("8.png") is not None


def test_without_matplotlib_it_says_how_to_get_it(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("granet.app.extras.find_spec", lambda name: None)
    status, out, err = invoke(f"--model half.onnx {PAIRS} --figure8 8.png")
    assert (status, out) == (1, "")
    assert err == (
        "error: drawing a figure needs matplotlib, which is not installed: pip install matplotlib\n"
    )


def of_the_packaged_weights(
    spec: str, capfd: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of the rainy input, and of the result; the export's are the same."""
    models = ["--ckpt", str(PACKAGED / "lite.safetensors"), "--model", str(PACKAGED / "lite.onnx")]
    assert run_app(app, [*models, "--data", spec, "--limit", "1", "--json"]) == 0
    means = json.loads(capfd.readouterr().out)["data"][0]["mean"]
    trained, exported, rainy = (means[name] for name in ("lite.safetensors", "lite.onnx", "rainy input"))
    for metric in ("paper", "matlab"):
        assert trained[metric]["psnr_db"] == pytest.approx(exported[metric]["psnr_db"], abs=0.01)
        assert trained[metric]["psnr_db"] > rainy[metric]["psnr_db"] + 3
        assert trained[metric]["ssim"] > rainy[metric]["ssim"]
    return rainy, trained


def test_the_packaged_weights_remove_drawn_rain_and_lose_nothing_in_their_export(
    capfd: pytest.CaptureFixture[str],
) -> None:
    of_the_packaged_weights("drawn:1", capfd)


@pytest.mark.skipif(not RAIN100L.is_dir(), reason="Rain100L is not there")
def test_the_packaged_weights_remove_the_rain_of_rain100l(capfd: pytest.CaptureFixture[str]) -> None:
    rainy, _ = of_the_packaged_weights(f"rain100l:{RAIN100L}", capfd)
    assert rainy["paper"]["ssim"] == pytest.approx(0.8419, abs=0.02)
    assert rainy["matlab"]["ssim"] == pytest.approx(0.86, abs=0.02)


def test_the_command_loads_neither_torch_nor_matplotlib_until_they_are_needed() -> None:
    code = "import sys, runtime.evaluation.cli; assert not {'torch', 'onnx', 'matplotlib'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
