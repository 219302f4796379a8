"""``granet-export field-report``: one page and JSON with figures, and nobody's name."""

import getpass
import html
import json
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from export.cli import app
from export.onnx.checkpoint_file import opened_checkpoint
from export.onnx.export import ExportOptions, export_onnx
from granet.app.console import run_app
from runtime.artefacts.manifest import sha256_of
from runtime.checks import device_state
from runtime.checks.parity import ParityBudget
from runtime.models.packaged import CHECKPOINT, FLOAT32
from tests.chromium import Browser, find_chromium

QUICK = ["--size", "64x48", "--frames", "2", "--warm-up", "0"]


@pytest.fixture(autouse=True)
def quick_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    """One size and one picture: parity itself has tests of its own."""
    monkeypatch.setattr("runtime.checks.parity_cases.DYNAMIC_SIZES", ((48, 64),))
    monkeypatch.setattr("export.reports.field_report.PARITY_PICTURES", 1)


@pytest.fixture
def jetson(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Sequence[str]) -> str | None:
        return "NV Power Mode: MAXN\n0\n" if command[0] == "nvpmodel" else None

    for name in ("power_modes", "device_state"):
        function = getattr(device_state, name)
        monkeypatch.setattr(f"export.reports.field_report.{name}", lambda f=function: f(run=run))


def test_two_models_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_app(app, ["field-report", "a/best.onnx", "b/best.onnx"]) == 2
    assert capsys.readouterr().err.startswith("error: MODEL best.onnx: two models have this name")


def test_the_page_and_the_json_have_the_same_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], jetson: None
) -> None:
    page = tmp_path / "report.html"
    arguments = [str(FLOAT32), str(CHECKPOINT)]
    assert run_app(app, ["field-report", *arguments, *QUICK, "-o", str(page), "--json"]) == 0
    printed = capsys.readouterr().out
    report, text = json.loads(printed), page.read_text(encoding="utf-8")
    inside = re.search(r'<pre id="report">(.*)</pre>', text, flags=re.DOTALL)
    assert inside is not None and json.loads(html.unescape(inside[1])) == report

    exported, checkpoint = report["models"]
    assert exported["sha256"] == sha256_of(FLOAT32)
    assert exported["checkpoint_sha256"] == checkpoint["sha256"] == sha256_of(CHECKPOINT)
    assert exported["parity"]["passed"] is True and exported["parity"]["reference"].startswith("torch")
    assert {case["name"] for case in exported["parity"]["images"]} >= {"ties 64x48", "batch of 2 64x48"}
    assert checkpoint["parity"] is None and "reference itself" in checkpoint["no_parity"]
    [size] = report["sizes"]
    assert size["bench"]["size"] == [48, 64] and len(size["end_to_end"]) == 2
    for alone, whole in zip(size["bench"]["results"], size["end_to_end"], strict=True):
        assert alone["fps"] > 0 and alone["ms"]["p99"] >= alone["ms"]["p50"] > 0
        assert whole["frames_out"] == 2 and whole["fps"] > 0
        assert alone["peak_bytes"] > alone["baseline_bytes"] > 0 and alone["gpu_bytes"] is None
    assert report["power"]["nvpmodel"] == "MAXN" and "torch" in report["machine"]["versions"]

    # Self-contained: nothing is fetched and nothing runs.
    assert not re.search(r"<script|<link[^>]+href=\"(?!data:)|src=|url\(|@import", text)
    for name in (platform.node(), getpass.getuser(), str(tmp_path.parent), str(FLOAT32.parent)):
        shown = re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)  # it says :root
        assert not re.search(rf"\b{re.escape(name)}\b", shown + printed), name


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_page_on_a_screen_and_on_a_phone(engines_onnx: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run_app(app, ["field-report", str(engines_onnx), *QUICK, "-o", str(page)]) == 0
    browser = Browser(str(find_chromium()), tmp_path / "profile")
    try:
        for width in (1000, 390):
            browser.resize(width, 800)
            browser.open(page.as_uri())
            assert browser.value("document.documentElement.scrollWidth <= innerWidth")
        assert browser.value("document.querySelector('h1').textContent") == "Field report"
        assert browser.value("getComputedStyle(document.querySelector('.bar i')).display") == "flex"
        assert not [message for message in browser.messages if message["method"] == "Log.entryAdded"]
    finally:
        browser.close()


def test_without_the_checkpoint_the_report_says_that_parity_was_not_measured(
    engines_onnx: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, ["field-report", str(engines_onnx), *QUICK]) == 0
    assert "not measured: the checkpoint that it was made from was not given (--ckpt)" in " ".join(
        capsys.readouterr().out.split()
    )


def test_an_edge_device_without_pytorch_compares_with_the_packaged_float32_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("export.reports.field_report.find_spec", lambda name: None)
    assert run_app(app, ["field-report", "lite", *QUICK, "--backend", "openvino", "--json"]) == 0
    [model] = json.loads(capsys.readouterr().out)["models"]
    assert model["file"] == "lite.int8.onnx" and "lite.onnx, fp32" in model["parity"]["reference"]


def test_without_pytorch_a_model_of_another_colour_order_has_no_parity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "swapped.onnx"
    any_parity = ParityBudget(mean_db=0, min_db=0, share=1, hard_db=0)
    with opened_checkpoint(CHECKPOINT) as checkpoint:
        export_onnx(checkpoint, path, ExportOptions(size=(48, 64), colour="rgb"), any_parity)
    monkeypatch.setattr("export.reports.field_report.find_spec", lambda name: None)
    assert run_app(app, ["field-report", str(path), *QUICK, "--json"]) == 0
    [model] = json.loads(capsys.readouterr().out)["models"]
    assert model["parity"] is None and "takes another order of colours" in model["no_parity"]


def test_a_model_that_misses_its_budget_is_in_the_report_and_the_exit_status(
    engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    # Another network than the small one.
    arguments = [str(engines_onnx), "--ckpt", str(CHECKPOINT), *QUICK, "-o", str(page)]
    assert run_app(app, ["field-report", *arguments]) == 3
    assert "parity missed: small.onnx" in capsys.readouterr().err
    assert 'class="missed"' in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["lite", "-o", "gone/report.html"], 1, "there is no directory gone"),
        (["lite", "-o", "kept.html"], 1, "kept.html: exists; add --overwrite"),
        (["lite", "-o", "report.json"], 2, "its name must end in .html; JSON goes to stdout with --json"),
        (["lite", "--overwrite"], 2, "--overwrite without --output"),
        (["lite", "--size", "1081p"], 2, "--size 1081p: not a size"),
        (["light"], 2, "MODEL light: give lite or base"),
        (["gone.onnx"], 1, "gone.onnx: no such model file"),
        (["lite", "--ckpt", "gone.pt"], 1, "gone.pt: no such model file"),
        (["grpc://box:8001/lite"], 2, "the report describes this device: run it on the server"),
    ],
)
def test_a_mistake_is_found_before_anything_is_measured(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measure(*arguments: object, **options: object) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr("export.reports.field_report.measure_bench", measure)
    monkeypatch.chdir(tmp_path)
    Path("kept.html").write_text("mine")
    assert run_app(app, ["field-report", *arguments]) == status
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert Path("kept.html").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
