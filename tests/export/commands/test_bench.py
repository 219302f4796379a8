"""``granet-export bench`` as a user types it."""

import json
from pathlib import Path

import pytest

from export.cli import app
from granet.app.console import run_app
from tests.runtime.handmade import inverting_file


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(inverting_file(tmp_path / "m.onnx", height=48, width=64, batch=1))


def ended(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run_app(app, ["bench", *arguments])
    out, err = capfd.readouterr()
    return status, out, err


def test_the_table_says_what_was_measured_and_where(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    backends = ("--backend", "onnxruntime", "--backend", "openvino")
    status, out, err = ended(capfd, model, *backends, "--frames", "2", "--warm-up", "1")
    assert status == 0 and "\x1b" not in err  # no bar where there is no terminal
    assert "64x48, 2 frames each, in turns, after 1 warm-up frames" in out
    for words in ("1  onnxruntime m.onnx", "2  openvino m.onnx", "1.00x", "MiB", "Python 3.", "cores"):
        assert words in out
    assert "onnxruntime 1." in out and "on cpu: m.onnx, fp32, 64x48, bgr" in out


def test_json_is_all_there_is_on_stdout(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--backend", "onnxruntime", "--size", "80x40", "--frames", "2", "--json")
    status, out, err = ended(capfd, model, *options)
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert (report["size"], report["frames"]) == ([40, 80], 2)
    assert {"cpu", "cores", "versions"} <= report["machine"].keys()
    (result,) = report["results"]
    assert set(result["ms"]) == {"p50", "p90", "p99"}
    assert result["wall_ratio"] == result["cpu_ratio"] == 1
    assert "tiles" in result["fitting"] and result["peak_bytes"] > result["baseline_bytes"]


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["nothing.onnx"], 1, "error: nothing.onnx: no such model file"),
        (["best.pt", "--backend", "openvino"], 2, "error: best.pt: openvino cannot run it"),
        (["m.onnx", "--backend", "tensorflow"], 2, "error: --backend: unknown backend 'tensorflow'"),
        (["m.onnx", "--size", "big"], 2, "error: "),
        (["m.onnx", "--frames", "0"], 2, "error: "),
        ([], 2, "error: "),
    ],
)
def test_bad_input_ends_with_one_line(
    arguments: list[str],
    status: int,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = ended(capfd, *arguments)
    assert (found, out) == (status, "")
    assert err.startswith(line) and err.count("\n") == 1
