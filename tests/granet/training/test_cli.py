"""``granet-train`` as a user types it: what it writes, what it says, how it ends."""

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from granet import GraNet, GraNetConfig, load_checkpoint, save_checkpoint
from granet.app.console import run_app
from granet.training.cli import app
from granet.training.state import load_state
from tests.granet.rain_sets import clean_directory, pairs_directory, picture, write

CONFIG = GraNetConfig(channels=4, growth=2, dense_layers=1, nonlocal_channels=2, fine_blocks=1, key_stride=4)


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("granet.training.trainer.draw_training", lambda lines, path: None)
    torch.manual_seed(0)
    save_checkpoint("tiny.pt", GraNet(CONFIG))


@pytest.fixture
def spec() -> str:
    return pairs_directory(Path("data"))


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    before = torch.get_num_threads()
    status = run_app(app, ["--device", "cpu", "--threads", "1", *arguments])
    torch.set_num_threads(before)
    out, err = capsys.readouterr()
    assert out == ""
    return status, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    found, err = ended(capsys, *arguments)
    assert found == status, err
    assert err.startswith("error: ") and err.count("\n") == 1
    return err


def test_a_training_its_files_and_its_resumption(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    basic = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--out", "run", "--epoch-size", "2"]
    status, err = ended(capsys, *basic, "--epochs", "1")
    assert status == 0
    assert "epoch 1: loss" in err and "dB paper" in err and "complete after 2 steps" in err
    assert {path.name for path in Path("run").iterdir()} == {"best.pt", "last.pt", "state.pt", "log.jsonl"}
    assert load_checkpoint("run/best.pt").config == CONFIG

    assert "run has a training (best.pt): --resume goes on with it" in refused(
        capsys, *basic, "--epochs", "2"
    )
    status, err = ended(capsys, *basic, "--epochs", "2", "--resume")
    assert status == 0 and "goes on after step 2" in err and "complete after 4 steps" in err

    other = "config is {'channels': 16, 'growth': 8, 'dense_layers': 4, 'nonlocal_channels': 16"
    lite = ["--train", spec, "--val", spec, "--preset", "lite", "--out", "run", "--epoch-size", "2"]
    message = refused(capsys, *lite, "--epochs", "3", "--resume")
    assert other in message and "lr" not in message

    status, err = ended(capsys, *basic, "--epochs", "1", "--overwrite")
    assert status == 0 and "complete after 2 steps" in err
    assert load_state(Path("run/state.pt"))[1].steps == 2


def test_the_recipe_of_the_packaged_weights_can_be_said(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = clean_directory(Path("clean"), 21)
    taken: list[Any] = []
    monkeypatch.setattr("granet.training.cli._run", lambda *arguments: taken.extend(arguments))
    status, err = ended(
        capsys, "--preset", "lite", "--train", f"synthetic:{clean}@0.7", "--train", f"{spec}@.3",
        "--val", f"synthetic:{clean}?heaviness=0.8", "--heaviness", "0.1-0.4",
        *shlex.split("--crop 128 --batch 4 --dry 0.1 --ema 0.998 --cosine --lr 8e-4"),
        *shlex.split("--clip-gradient 0.3 --channels-last --minutes 120 --out runs/lite"),
    )  # fmt: skip
    assert status == 0, err
    recipe, limits, out = taken[:3]
    assert recipe.train == (f"synthetic:{clean}?heaviness=0.1-0.4", spec) and recipe.weights == (0.7, 0.3)
    assert recipe.val == (f"synthetic:{clean}?heaviness=0.8",)
    assert (recipe.crop, recipe.batch, recipe.dry, recipe.ema, recipe.lr) == (128, 4, 0.1, 0.998, 8e-4)
    assert (recipe.cosine, recipe.clip_gradient, recipe.channels_last) == (True, 0.3, True)
    assert (limits.minutes, limits.epochs, out) == (120, None, Path("runs/lite"))
    assert GraNetConfig.from_dict(recipe.config) == GraNetConfig.lite()


def test_without_options_the_recipe_is_the_papers(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    monkeypatch.setattr("granet.training.cli._run", lambda *arguments: taken.append(arguments))
    assert ended(capsys, "--train", "rain100l:x", "--val", "rain100l:x")[0] == 0
    assert ended(capsys, "--train", "rain100h:x", "--val", "rain100h:x", "--set", "fine_stage=false")[0] == 0
    (first, limits, out, *_), (second, *_) = taken
    assert GraNetConfig.from_dict(first.config) == GraNetConfig.paper() and out == Path("runs/paper")
    assert (limits.epochs, limits.minutes) == (None, None)
    assert (first.patience, second.patience) == (10, 3)  # section 4.3
    ablation = GraNetConfig.paper().ablations()["Only Coarse w/ RA"]
    assert GraNetConfig.from_dict(second.config) == ablation


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ("--epochs 1 --minutes 1", 2, "give one of them"),
        ("--cosine", 2, "--cosine runs to an end: give --epochs or --minutes"),
        ("--batch 2", 2, "--batch needs --crop"),
        ("--resume --overwrite", 2, "give one of them"),
        ("--train pairs:a,b@0.5", 2, "has no share: give each --train one"),
        ("--train nothing:here", 1, "'nothing:here' is no data set"),
        ("--val rain100l:nowhere", 1, "nowhere: there is no such directory"),
        ("--heaviness 3", 1, "expected LOW-HIGH within 0"),
        ("--set width=3", 1, "unknown settings: width"),
        ("--set channels=many", 2, "expected NAME=VALUE"),
        ("--init nowhere.pt", 1, "nowhere.pt: there is no such file"),
        ("--preset lite --init tiny.pt", 1, "tiny.pt is of another network"),
        ("--resume", 1, "there is no training to resume"),
        ("--lr nought", 2, "Invalid value for '--lr'"),
        ("--preset big", 2, "Invalid value for '--preset'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_line_and_nothing_is_written(
    options: str, status: int, reason: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(Path().rglob("*"))
    basic = [] if "--init" in options else ["--init", "tiny.pt"] if "--set" not in options else []
    assert reason in refused(
        capsys, "--train", spec, "--val", spec, *basic, *shlex.split(options), "--out", "run", status=status
    )
    assert set(Path().rglob("*")) == before


@pytest.mark.parametrize("missing", ["torch", "matplotlib"])
def test_the_base_install_is_told_what_to_install(
    missing: str, spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "granet.training.cli.find_spec",
        lambda name: None if name == missing else importlib.util.find_spec(name),
    )
    message = refused(capsys, "--train", spec, "--val", spec)
    assert f'{missing} not installed, and training needs it: pip install "granet-deploy[train]"' in message


def test_help_needs_no_torch() -> None:
    code = "import sys, granet.training.cli; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_pictures_of_different_sizes_end_a_training_with_a_line(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("data/clean/2.png"), picture(2, 41, 56))
    message = refused(
        capsys, "--train", spec, "--val", spec, "--init", "tiny.pt", "--epochs", "1", "--out", "run"
    )
    assert "2.png has 56x40 pixels" in message and "of one size" in message


def endless(spec: str) -> list[str]:
    options = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--out", "run", "--epoch-size", "3"]
    return [*options, "--lr", "1e-3", "--epochs", "100000", "--device", "cpu", "--threads", "1"]


def start(spec: str) -> "subprocess.Popen[str]":
    """A training without end, after its second epoch."""
    command = [sys.executable, "-m", "granet.training.cli", *endless(spec)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    until = time.monotonic() + 200
    while not (Path("run/log.jsonl").exists() and Path("run/log.jsonl").read_text().count("\n") >= 2):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_how_to_go_on_and_can(
    sent: signal.Signals, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(spec)
    process.send_signal(sent)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last.startswith("run: interrupted after ") and "Traceback" not in err
    command = last.partition("go on with: ")[2]
    assert command == shlex.join(["granet-train", *endless(spec), "--resume"])
    steps = load_state(Path("run/state.pt"))[1].steps
    assert steps >= 6 and f"after {steps} steps" in last
    status, err = ended(capsys, *endless(spec), "--resume", "--epochs", str(steps // 3 + 1))
    assert status == 0 and f"goes on after step {steps}" in err


def test_a_killed_training_leaves_checkpoints_that_can_be_read(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(spec)
    process.kill()
    process.communicate(timeout=100)
    left = Path("run/.last.0123abcd.pt")
    left.write_bytes(b"half of a file")  # what a kill in the middle of a write leaves
    for name in ("best.pt", "last.pt"):
        assert load_checkpoint(f"run/{name}").config == CONFIG
    epoch = load_state(Path("run/state.pt"))[1].epoch
    status, err = ended(capsys, *endless(spec), "--resume", "--epochs", str(epoch + 1))
    assert status == 0, err
    assert not left.exists()
    rows = Path("run/log.jsonl").read_text().splitlines()
    assert len(rows) == epoch + 1
