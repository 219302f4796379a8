"""``granet-train --processes 2``: behaves like one program, also if a process fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from granet.app.console import Interrupted, run_app
from granet.training.cli import app
from granet.training.launch import FOLLOWED, run_processes
from granet.training.state import load_state
from tests.granet.rain_sets import pairs_directory
from tests.granet.training.test_processes import options, train
from tests.patience import PATIENCE


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-m", "granet.training.cli", *arguments]
    environment |= {"PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(tmp_path: Path) -> None:
    spec = pairs_directory(tmp_path / "data", count=3)
    ((status, error),) = train(1, options(spec, tmp_path / "one", "--batch", "2", "--epochs", "2"))
    assert status == 0, error
    # The number may come from a recipe too; a started process must not start others.
    (tmp_path / "r.toml").write_text("processes = 2\n")
    for name, more in (("two", ["--processes", "2"]), ("file", ["--recipe", str(tmp_path / "r.toml")])):
        process = start([*options(spec, tmp_path / name, "--epochs", "2"), *more])
        _, error = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, error
        assert "2 processes" in error and error.count("epoch 2:") == 1
        one, two = (load_state(tmp_path / each / "state.pt") for each in ("one", name))
        assert (one.progress.steps, one.progress.samples) == (two.progress.steps, two.progress.samples)
        for weight, value in one.states["model"].items():
            assert torch.allclose(two.states["model"][weight], value, rtol=0, atol=2e-6), weight
    process = start([*options(spec, tmp_path / "two", "--epochs", "3"), "--processes", "2"])
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and error.count("\n") == 1, error
    assert error.startswith("error: ") and "holds a training" in error


def test_an_interruption_prints_the_command_that_resumes_all(tmp_path: Path) -> None:
    spec = pairs_directory(tmp_path / "data", count=3)
    arguments = [*options(spec, tmp_path / "run", "--epochs", "100000"), "--processes", "2"]
    process = start(arguments)
    until = time.monotonic() + PATIENCE
    while not (tmp_path / "run" / "log.jsonl").exists():
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGTERM and "Traceback" not in error
    last = error.splitlines()[-1]
    assert "interrupted after" in last and last.endswith("--processes 2 --resume")
    assert load_state(tmp_path / "run" / "state.pt").progress.steps >= 2


@pytest.mark.parametrize("damaged", [1, 2])  # each process reads one of them; both read the first one
def test_a_picture_that_one_process_cannot_read_is_the_only_error(damaged: int, tmp_path: Path) -> None:
    spec, dry = pairs_directory(tmp_path / "data", count=3), pairs_directory(tmp_path / "dry", count=2)
    (tmp_path / "data" / "rainy" / f"{damaged}.png").write_bytes(b"no picture")
    process = start([*options(spec, tmp_path / "run", "--epochs", "1", "--val", dry), "--processes", "2"])
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (line,) = (line for line in error.splitlines() if "error" in line)
    assert line.startswith("error: ") and f"{damaged}.png: is damaged, or not a picture" in line


# --- the exit of stand-in processes ---------------------------------------------------------------


def ended(code: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    start_ = "import os, sys, time; rank = int(os.environ['RANK'])\n"
    status = run_processes(2, [sys.executable, "-c", start_ + code], own_threads=False)
    return status, capfd.readouterr().err


def test_each_process_has_its_rank_and_one_thread(capfd: pytest.CaptureFixture[str]) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")
    code = f"time.sleep(rank); print(*(os.environ[name] for name in {names}), flush=True)"
    status = run_processes(
        2, [sys.executable, "-c", f"import os, time; rank = int(os.environ['RANK']); {code}"], False
    )
    assert status == 0
    assert capfd.readouterr().out.splitlines() == ["0 0 2 127.0.0.1 1", "1 1 2 127.0.0.1 1"]


def test_only_the_first_process_prints(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended("sys.stderr.write(f'error of {rank}\\n'); sys.exit(2)", capfd) == (2, "error of 0\n")


def test_the_error_of_a_process_that_fails_alone_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended("if rank: sys.stderr.write('out of luck\\n'); sys.exit(4)", capfd) == (4, "out of luck\n")


def test_a_process_that_followed_is_not_the_one_that_failed(capfd: pytest.CaptureFixture[str]) -> None:
    code = f"if rank: time.sleep(0.3); sys.stderr.write('out of luck\\n'); sys.exit(4)\nsys.exit({FOLLOWED})"
    assert ended(code, capfd) == (4, "out of luck\n")


def test_a_process_that_waits_for_a_failed_one_is_killed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("granet.training.launch._GRACE_SECONDS", 0.2)
    code = "if rank: sys.exit('out of luck')\ntime.sleep(600)"
    assert ended(code, capfd) == (1, "out of luck\n")


def test_a_killed_process_ends_all_with_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("granet.training.launch._GRACE_SECONDS", 0.2)
    status, error = ended("if rank: os.kill(os.getpid(), 9)\ntime.sleep(600)", capfd)
    assert (status, error) == (1, "error: process 2 of 2 was killed by signal 9\n")


@pytest.mark.parametrize(
    ("code", "status"),
    [("sys.exit(130)", 130), ("os.kill(os.getpid(), 2)", 130), ("os.kill(os.getpid(), 15)", 143)],
)
def test_an_interruption_is_passed_on_once(code: str, status: int) -> None:
    code = f"import os, signal, sys; signal.signal(2, signal.SIG_DFL); {code}"
    with pytest.raises(Interrupted) as caught:
        run_processes(2, [sys.executable, "-c", code], own_threads=True)
    assert caught.value.status == status


def test_processes_of_torchrun_are_not_doubled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert run_app(app, ["--train", "drawn:1", "--val", "drawn:1", "--processes", "2"]) == 2
    err = capsys.readouterr().err
    assert err == "error: --processes 2 starts processes, but torchrun has already started 3: use one\n"


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_a_variable_that_is_no_number_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "two\x1b[2J")
    arguments = ["--train", "drawn:2", "--val", "drawn:1", "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert run_app(app, arguments) == 1
    error = f"error: environment variable {name}: expected a whole number, got two\\x1b[2J; unset it"
    assert capfd.readouterr().err.splitlines()[-1] == error
