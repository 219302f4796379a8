"""The structure of a benchmark report, on handmade graphs; never its times."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from granet.errors import UserError
from runtime.checks.bench import BenchSubject, measure_bench, pair
from runtime.checks.isolated_run import peak_bytes, run_isolated
from runtime.checks.machine import this_machine
from tests.runtime.handmade import inverting_file

MIB = 2**20


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return inverting_file(tmp_path / "small.onnx", height=48, width=64, batch=1)


def test_engines_are_measured_in_the_order_asked_for_and_held_against_the_first(model: Path) -> None:
    steps: list[tuple[str, float]] = []
    report = measure_bench(
        [BenchSubject(model, "openvino"), BenchSubject(model, "onnxruntime")],
        frames=4,
        warm_up=1,
        progress=lambda done, total, label: steps.append((label, done / (total or 0))),
    )
    assert (report.size, report.frames, report.warm_up) == ((48, 64), 4, 1)
    first, second = report.results
    assert (first.backend, second.backend) == ("openvino", "onnxruntime")
    assert (first.wall_ratio, first.cpu_ratio) == (1.0, 1.0)
    for result in report.results:
        assert 0 < result.ms.p50 <= result.ms.p90 <= result.ms.p99
        assert result.fps > 0 and result.cpu_ms > 0 and result.wall_ratio > 0
        assert result.baseline_bytes is not None and result.peak_bytes is not None
        assert 20 * MIB < result.baseline_bytes < result.peak_bytes < 2048 * MIB
        assert result.fitting == "as they are"
    assert steps[0][0] == "warm-up" and steps[1][0] == "timing"
    shares = [share for _, share in steps]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert json.loads(json.dumps(report.to_json()))["results"][1]["backend"] == "onnxruntime"


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    subjects = []
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        path = inverting_file(tmp_path / folder / "best.onnx", height=48, width=64, batch=1)
        subjects.append(BenchSubject(path, "onnxruntime"))
    report = measure_bench(subjects, frames=1, warm_up=0)
    assert [result.model for result in report.results] == ["old/best.onnx", "new/best.onnx"]


def test_a_static_model_at_another_size_is_reported(model: Path) -> None:
    report = measure_bench([BenchSubject(model, "onnxruntime")], (100, 64), frames=1, warm_up=0)
    assert "tiles" in report.results[0].fitting


def test_static_models_of_two_sizes_need_a_size(model: Path, tmp_path: Path) -> None:
    other = inverting_file(tmp_path / "other.onnx", height=32, width=32, batch=1)
    with pytest.raises(UserError, match=r"32x32, 64x48.*--size"):
        measure_bench([BenchSubject(model, "onnxruntime"), BenchSubject(other, "onnxruntime")])


def test_every_model_meets_every_backend_that_can_run_it() -> None:
    told: list[str] = []
    checkpoint, graph = Path("a/best.pt"), Path("a/best.onnx")
    subjects = pair([checkpoint, graph], ["torch", "openvino"], "cpu", told.append)
    assert subjects == [BenchSubject(checkpoint, "torch", "cpu"), BenchSubject(graph, "openvino", "cpu")]
    assert len(told) == 1 and "best.pt in openvino, best.onnx in torch" in told[0]
    assert pair([checkpoint, graph], [], "cpu") == [
        BenchSubject(checkpoint, "auto", "cpu"),
        BenchSubject(graph, "auto", "cpu"),
    ]


@pytest.mark.parametrize(
    ("models", "backends", "line"),
    [
        (["m.onnx"], ["torch"], "m.onnx: torch cannot run it"),
        (["best.pt"], ["torch", "openvino"], "best.pt: openvino cannot run it"),
        (["m.onnx", "best.pt"], ["torch"], "m.onnx: torch cannot run it"),
        (["m.onnx"], ["tensorrt"], "m.onnx: tensorrt cannot run it"),
        (["m.engine"], ["openvino"], "m.engine: openvino cannot run it"),
        (["m.onnx"], ["tensorflow"], "unknown backend 'tensorflow'"),
    ],
)
def test_an_impossible_requested_pair_is_an_error(models: list[str], backends: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        pair([Path(name) for name in models], backends, "auto")


def test_memory_is_that_of_the_engine_not_of_the_parent_process(model: Path) -> None:
    ballast = np.ones(1024 * MIB, np.uint8)  # a new process inherits it as ru_maxrss on Linux
    run = run_isolated(model, (48, 64), backend="onnxruntime", frames=3)
    assert run.peak_bytes is not None and run.peak_bytes < 700 * MIB < ballast.nbytes
    assert len(run.seconds) == len(run.cpu_seconds) == 3


def test_memory_counts_what_a_frame_takes(model: Path, tmp_path: Path) -> None:
    dynamic = inverting_file(tmp_path / "dynamic.onnx")
    small = run_isolated(dynamic, (64, 64), backend="onnxruntime", frames=1)
    large = run_isolated(dynamic, (4096, 8192), backend="onnxruntime", frames=1)  # 96 MiB in, 96 MiB out
    assert small.peak_bytes is not None and large.peak_bytes is not None
    assert large.peak_bytes - small.peak_bytes > 192 * MIB


@pytest.mark.skipif(sys.platform == "win32", reason="no peak on Windows")
def test_the_peak_is_in_bytes() -> None:
    found = peak_bytes()
    assert found is not None and 20 * MIB < found < 2**40


def test_the_message_of_a_failed_process_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.onnx: no such model file$"):
        run_isolated(tmp_path / "nothing.onnx", (48, 64))


def test_a_process_that_takes_too_long_is_ended(model: Path) -> None:
    with pytest.raises(UserError, match="timed out after"):
        run_isolated(model, (48, 64), timeout=0.01)


def test_the_machine_is_described_with_the_versions_that_matter() -> None:
    text = str(this_machine("onnxruntime", "no-such-package"))
    assert "cores" in text and "Python 3." in text and "onnxruntime " in text
    assert "no-such-package" not in text
