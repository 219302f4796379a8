"""Several processes, as ``torchrun`` starts them: two real ones with gloo on the CPU."""

import io
import json
import os
import socket
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import torch

from granet.app.console import run_app
from granet.checkpoint import read_checkpoint
from granet.training.cli import app
from granet.training.launch import FOLLOWED
from granet.training.state import load_state
from tests.granet.rain_sets import pairs_directory
from tests.patience import PATIENCE

NETWORK = ["channels=4", "growth=2", "dense_layers=1", "nonlocal_channels=2", "fine_blocks=1", "key_stride=4"]


def start(rank: int, count: int, port: int, arguments: list[str]) -> "subprocess.Popen[str]":
    """A process with the environment that torchrun gives it."""
    environment = os.environ | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "granet.training.cli", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def train(count: int, arguments: list[str]) -> list[tuple[int, str]]:
    """Status and stderr of each process; one alone needs no torchrun, so it is this one."""
    if count == 1:
        threads, heard = torch.get_num_threads(), io.StringIO()
        with redirect_stderr(heard):
            status = run_app(app, arguments)
        torch.set_num_threads(threads)
        return [(status, heard.getvalue())]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [start(rank, count, port, arguments) for rank in range(count)]
    errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def options(spec: str, out: Path, *more: str) -> list[str]:
    network = [argument for value in NETWORK for argument in ("--set", value)]
    return [*network, "--train", spec, "--val", spec, "--crop", "24", "--out", str(out), "--device", "cpu",
            "--threads", "1", "--epoch-size", "4", "--precision", "fp32", "--contiguous", *more]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[tuple[int, str]]]:
    """Two epochs of two steps of four crops: by one process, and by two with half of the crops each."""
    root = tmp_path_factory.mktemp("processes")
    spec = pairs_directory(root / "data", count=3)
    ((status, error),) = train(1, options(spec, root / "one", "--batch", "2", "--epochs", "2"))
    assert status == 0, error
    return root, spec, train(2, options(spec, root / "two", "--batch", "1", "--epochs", "2"))


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(
    runs: tuple[Path, str, list[tuple[int, str]]],
) -> None:
    root, _, ends = runs
    assert [status for status, _ in ends] == [0, 0], ends
    one, two = (load_state(root / name / "state.pt") for name in ("one", "two"))
    assert (one.progress.steps, one.progress.samples) == (two.progress.steps, two.progress.samples) == (4, 8)
    for name, value in one.states["model"].items():
        # Adam's first steps are as long as the learning rate, 5e-4, whatever the gradient.
        assert torch.allclose(two.states["model"][name], value, rtol=0, atol=2e-6), name


def test_metrics_cover_all_pictures_and_only_the_main_process_writes_and_prints(
    runs: tuple[Path, str, list[tuple[int, str]]],
) -> None:
    root, _, ends = runs
    logs = [[json.loads(row) for row in (root / name / "log.jsonl").read_text().splitlines()]
            for name in ("one", "two")]  # fmt: skip
    assert [len(lines) for lines in logs] == [2, 2]
    for one, two in zip(*logs, strict=True):
        for key in ("loss", "psnr_paper_db", "psnr_matlab_db", "rainy_paper_db"):
            assert two[key] == pytest.approx(one[key], rel=1e-4), key
    assert ends[1][1] == "" and "2 processes" in ends[0][1] and ends[0][1].count("epoch 2:") == 1


def test_a_training_of_two_processes_continues_with_one(
    runs: tuple[Path, str, list[tuple[int, str]]],
) -> None:
    root, spec, _ = runs
    ((status, error),) = train(1, options(spec, root / "two", "--batch", "1", "--epochs", "3", "--resume"))
    assert status == 0, error
    assert read_checkpoint(root / "two" / "last.pt").facts["epoch"] == 3
    # 8 crops of the two processes and another 4, one a step.
    progress = load_state(root / "two" / "state.pt").progress
    assert (progress.steps, progress.samples) == (8, 12)


def test_an_error_of_the_main_process_ends_all_and_is_printed_once(
    runs: tuple[Path, str, list[tuple[int, str]]],
) -> None:
    root, spec, _ = runs
    (first, second) = train(2, options(spec, root / "one", "--batch", "1", "--epochs", "2"))
    assert (first[0], second[0]) == (1, FOLLOWED)
    assert first[1].count("\n") == 1 and "holds a training" in first[1] and second[1] == ""
