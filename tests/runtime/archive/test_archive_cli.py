"""``granet-archive`` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.archive.plan import Plan
from tests.media import read_clip
from tests.patience import PATIENCE
from tests.runtime.archive.recordings import make_recording

ARCHIVE = [sys.executable, "-m", "runtime.archive.cli"]

PLANNED = ("--segment", "2s", "--plan-only")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    make_recording(tmp_path / "src" / "a.mp4", 40, sound="aac")
    make_recording(tmp_path / "src" / "night" / "b.ts", 40)
    return tmp_path / "src"


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ARCHIVE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **environment},
        check=False,
    )


def model(path: Path) -> list[object]:
    return ["--model", path, "--backend", "onnxruntime", "--segment", "2s"]


def test_a_tree_is_mirrored_reported_and_not_done_twice(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    first = run(source, dst, *model(engines_onnx), "--json", "--workers", 2)
    assert first.returncode == 0, first.stderr
    status = json.loads(first.stdout)
    assert (status["files_done"], status["frames_done"], status["complete"]) == (2, 80, True)
    assert status["running"] is False
    assert len(read_clip(dst / "a.mp4").frames) == len(read_clip(dst / "night" / "b.ts.mkv").frames) == 40
    page = (dst / ".granet-archive" / "report.html").read_text()
    assert "night/b.ts" in page and page.count("data:image/jpeg") == 2
    assert "Failed attempts" not in page
    assert "running" not in first.stderr and "running" not in page
    times = {path: path.stat().st_mtime_ns for path in (dst / "a.mp4", dst / "night" / "b.ts.mkv")}
    again = run(source, dst, *model(engines_onnx))
    assert again.returncode == 0 and all(path.stat().st_mtime_ns == then for path, then in times.items())
    shown = run("status", dst)
    assert shown.returncode == 0 and "recordings 2/2" in shown.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_after_an_interruption_the_same_command_finishes(
    source: Path, engines_onnx: Path, number: signal.Signals
) -> None:
    dst = source.parent / "dst"
    command = [*ARCHIVE, str(source), str(dst), *map(str, model(engines_onnx))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + PATIENCE
    while not list(dst.glob(".granet-archive/*/segments/*/*.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, number)  # as a terminal, systemd, Slurm and timeout do
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0 and "internal error" not in errors
    assert not list(dst.glob(".granet-archive/*/failures/*"))
    assert run(source, dst, *model(engines_onnx)).returncode == 0
    assert len(read_clip(dst / "a.mp4").frames) == len(read_clip(dst / "night" / "b.ts.mkv").frames) == 40
    left = [path for path in dst.rglob("*") if path.is_file() and path.suffix in (".mp4", ".mkv")]
    assert sorted(path.name for path in left) == ["a.mp4", "b.ts.mkv"]


def test_workers_share_a_job_without_a_coordinator(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    # A job is planned by the first command, which is stopped here before it does any work.
    planned = run(source, dst, *PLANNED, "--model", engines_onnx)
    assert planned.returncode == 0, planned.stderr
    (plan,) = dst.glob(".granet-archive/*/plan-*.jsonl")
    assert len(list(Plan(plan))) == 2 and not (dst / "a.mp4").exists()
    for index in range(2):
        done = run(
            "worker", dst, "--model", engines_onnx, "--backend", "onnxruntime", "--shard", f"{index}/2"
        )
        assert done.returncode == 0, done.stderr
    assert len(read_clip(dst / "a.mp4").frames) == len(read_clip(dst / "night" / "b.ts.mkv").frames) == 40


def test_a_worker_with_another_model_is_refused(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    run(source, dst, *PLANNED, "--model", engines_onnx)
    other = run("worker", dst, "--model", "lite", "--backend", "onnxruntime", "--shard", "0/1")
    assert other.returncode == 1 and "was planned with another model" in other.stderr


def test_a_dry_run_prints_and_writes_nothing(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    shown = run(source, dst, *model(engines_onnx), "--dry-run")
    assert shown.returncode == 0 and "80 frames" in shown.stdout and "estimate:" in shown.stdout
    assert not dst.exists()


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(source: Path, engines_onnx: Path) -> None:
    (source / "broken.mp4").write_bytes(b"no video")
    dst = source.parent / "dst"
    ended = run(source, dst, *model(engines_onnx), "--json")
    assert ended.returncode == 1 and "1 of 3 recordings were not finished: broken.mp4" in ended.stderr
    assert len(read_clip(dst / "a.mp4").frames) == 40
    assert json.loads(ended.stdout)["running"] is False
    make_recording(source / "broken.mp4", 20)
    again = run(source, dst, *model(engines_onnx))
    assert again.returncode == 0, again.stderr
    assert len(read_clip(dst / "broken.mp4").frames) == 20


def test_a_run_that_stops_reports_that_it_no_longer_runs(source: Path, tmp_path: Path) -> None:
    dst, broken = tmp_path / "dst", tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    ended = run(source, dst, "--model", broken, "--backend", "onnxruntime", "--tries", 1, "--json")
    assert ended.returncode == 1 and "a segment failed 1 times" in ended.stderr
    status = json.loads(ended.stdout)
    assert (status["running"], status["complete"], status["failed_attempts"]) == (False, False, 1)
    page = (dst / ".granet-archive" / "report.html").read_text()
    assert "Failed attempts" in page and "running" not in page


def test_results_of_somebody_else_are_not_replaced(source: Path, engines_onnx: Path) -> None:
    dst = source.parent / "dst"
    dst.mkdir()
    (dst / "a.mp4").write_bytes(b"precious")
    refused = run(source, dst, *model(engines_onnx))
    assert refused.returncode == 1 and "add --overwrite" in refused.stderr
    assert (dst / "a.mp4").read_bytes() == b"precious"


def test_a_refused_command_does_not_become_the_job_of_the_destination(
    source: Path, engines_onnx: Path
) -> None:
    dst = source.parent / "dst"
    assert run(source, dst, *model(engines_onnx)).returncode == 0
    refused = run(source, dst, *model(engines_onnx), "--crf", 40)
    assert refused.returncode == 1 and "add --overwrite" in refused.stderr
    assert json.loads(run("status", dst, "--json").stdout)["complete"]


def test_a_name_with_control_characters_is_one_line(source: Path, engines_onnx: Path) -> None:
    (source / "a.mp4").rename(source / "red\x1b[31m\nline.mp4")
    shown = run(source, source.parent / "dst", *model(engines_onnx), "--dry-run")
    assert shown.returncode == 0 and "\x1b" not in shown.stdout
    assert len(shown.stdout.splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{src}", "{src}/out"], "lies inside the source"),
        (["{src}/missing", "{dst}"], "no such file or directory"),
        (["{src}", "{dst}", "--ext", "pdf"], "has no recordings"),
        (["{src}", "{dst}", "--segment", "0"], "at least one second"),
        (["{src}", "{dst}", "--segment", "soon"], "give a duration"),
        (["{src}", "{dst}", "--on-failure", "cry"], "--on-failure"),
        (["{src}", "{dst}", "--metrics", "nowhere"], "nowhere"),
        (["status", "{dst}"], "has no job"),
        (["worker", "{dst}", "--shard", "3/2"], "below the number of shares"),
        (["{src}", "{dst}", "--plan-only", "--dry-run"], "--plan-only with --dry-run"),
        (
            ["{src}", "{dst}", "--plan-only", "--model", "best.onnx", "--device", "cpu"],
            "--device with --plan-only and --model best.onnx",
        ),
        (["{src}", "{dst}", "--dry-run", "--overwrite"], "--overwrite with --dry-run"),
        (["{src}", "{dst}", "--model", "lite", "--backend", "torch"], "--backend torch with --model lite"),
        (["{src}", "{dst}", "--map", "a=b"], "--map without --model"),
        (["{src}", "{dst}", "--model", "best.pt", "--map", "ab"], "expected OLD=NEW"),
        (
            ["worker", "{dst}", "--shard", "0/1", "--backend", "tensorrt"],
            "--backend tensorrt without --model",
        ),
        (["{src}"], "DST"),
    ],
)
def test_mistakes_are_one_line(source: Path, arguments: list[str], message: str) -> None:
    filled = [each.format(src=source, dst=source.parent / "dst") for each in arguments]
    ended = run(*filled)
    assert ended.returncode in (1, 2) and message in ended.stderr
    assert len(ended.stderr.strip().splitlines()) <= 2 and "Traceback" not in ended.stderr
