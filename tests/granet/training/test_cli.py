"""``granet-train`` on the command line: its files, its messages and its exit status."""

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from granet import GraNet, GraNetConfig, load_checkpoint, save_checkpoint
from granet.app.console import run_app
from granet.errors import UserError
from granet.training.cli import PACKAGES, app
from granet.training.compute import CANDIDATES, PLAIN, Compute
from granet.training.make_recipe import make_recipe
from granet.training.state import load_state
from tests.granet.rain_sets import clean_directory, pairs_directory, picture, write
from tests.patience import PATIENCE

CONFIG = GraNetConfig(channels=4, growth=2, dense_layers=1, nonlocal_channels=2, fine_blocks=1, key_stride=4)
ON_ONE_CORE = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("granet.training.files.draw_training", lambda lines, path: None)
    torch.manual_seed(0)
    save_checkpoint("tiny.pt", GraNet(CONFIG))


@pytest.fixture
def spec() -> str:
    return pairs_directory(Path("data"))


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    before = torch.get_num_threads()
    status = run_app(app, [*ON_ONE_CORE, *arguments])
    torch.set_num_threads(before)
    out, err = capsys.readouterr()
    assert out == ""
    return status, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    found, err = ended(capsys, *arguments)
    assert found == status, err
    assert err.startswith("error: ") and err.count("\n") == 1
    return err


def test_a_training_writes_its_files_and_can_be_resumed(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    basic = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--out", "run", "--epoch-size", "2"]
    status, err = ended(capsys, *basic, "--epochs", "1")
    assert status == 0
    assert "epoch 1: loss" in err and "dB paper" in err and "complete after 2 steps" in err
    assert {path.name for path in Path("run").iterdir()} == {"best.pt", "last.pt", "state.pt", "log.jsonl"}
    assert load_checkpoint("run/best.pt").config == CONFIG

    assert "run holds a training (best.pt): give --resume to resume it" in refused(
        capsys, *basic, "--epochs", "2"
    )
    status, err = ended(capsys, *basic, "--epochs", "2", "--resume")
    assert status == 0 and "continues after step 2" in err and "complete after 4 steps" in err

    other = "config is {'channels': 32, 'growth': 16, 'dense_layers': 4, 'nonlocal_channels': 16"
    lite = ["--train", spec, "--val", spec, "--preset", "lite", "--out", "run", "--epoch-size", "2"]
    message = refused(capsys, *lite, "--epochs", "3", "--resume")
    assert other in message and "lr" not in message

    status, err = ended(capsys, *basic, "--epochs", "1", "--overwrite")
    assert status == 0 and "complete after 2 steps" in err
    assert load_state(Path("run/state.pt")).progress.steps == 2


def test_options_make_the_recipe_of_the_packaged_weights(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = clean_directory(Path("clean"), 21)
    taken: list[Any] = []
    monkeypatch.setattr("granet.training.run.run_training", taken.append)
    status, err = ended(
        capsys, "--preset", "lite", "--train", f"synthetic:{clean}@0.7", "--train", f"{spec}@.3",
        "--val", f"synthetic:{clean}?heaviness=0.8", "--heaviness", "0.1-0.4",
        *shlex.split("--crop 128 --batch 4 --dry 0.1 --ema 0.998 --cosine --lr 8e-4"),
        *shlex.split("--clip-gradient 0.3 --channels-last --minutes 120 --out runs/lite"),
        *shlex.split("--stable 0.5 --loss l1+ssim --teacher base.pt --precision bf16 --workers 1"),
        *shlex.split("--coarse-loss 0.25"),
    )  # fmt: skip
    assert status == 0, err
    (options,) = taken
    recipe, limits, out = make_recipe(options), options.limits, options.out
    assert recipe.train == (f"synthetic:{clean}?heaviness=0.1-0.4", spec) and recipe.weights == (0.7, 0.3)
    assert recipe.val == (f"synthetic:{clean}?heaviness=0.8",)
    assert (recipe.crop, recipe.batch, recipe.dry, recipe.ema, recipe.lr) == ((128,), 4, 0.1, 0.998, 8e-4)
    assert (recipe.cosine, recipe.stable, recipe.clip_gradient) == (True, 0.5, 0.3)
    assert (recipe.loss, recipe.teacher, recipe.coarse_loss) == ("l1+ssim", "base.pt", 0.25)
    assert (options.precision, options.channels_last, options.workers) == ("bf16", True, 1)
    assert (limits.minutes, limits.epochs, out) == (120, None, Path("runs/lite"))
    assert GraNetConfig.from_dict(recipe.config) == GraNetConfig.lite()


def test_without_options_the_recipe_is_the_papers(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    monkeypatch.setattr("granet.training.run.run_training", taken.append)
    assert ended(capsys, "--train", "rain100l:x", "--val", "rain100l:x")[0] == 0
    assert ended(capsys, "--train", "rain100h:x", "--val", "rain100h:x", "--set", "fine_stage=false")[0] == 0
    first, second = map(make_recipe, taken)
    assert GraNetConfig.from_dict(first.config) == GraNetConfig.paper() and taken[0].out == Path("runs/paper")
    assert (taken[0].limits.epochs, taken[0].limits.minutes) == (None, None)
    assert (first.patience, second.patience) == (10, 3)  # section 4.3
    ablation = GraNetConfig.paper().ablations()["Only Coarse w/ RA"]
    assert GraNetConfig.from_dict(second.config) == ablation


@pytest.mark.parametrize("option", ["--init", "--teacher"])
def test_overwrite_keeps_the_weights_that_the_training_needs(
    option: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first step may fail, and then nothing was left of an hour's training."""
    Path("run").mkdir()
    Path("tiny.pt").rename("run/best.pt")
    run = ["--train", spec, "--val", spec, "--out", "run", "--epochs", "1", "--overwrite"]
    error = refused(capsys, *run, option, "run/best.pt", status=2)
    assert f"{option} run/best.pt with --overwrite: " in error
    assert [path.name for path in Path("run").iterdir()] == ["best.pt"]


def test_a_setting_changes_the_network_of_init_and_no_other(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was that of the paper, and the error blamed settings that nobody had given."""
    run = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--epochs", "1", "--epoch-size", "2"]
    assert refused(capsys, *run, "--set", "key_stride=2") == (
        "error: --init tiny.pt: its network differs from the one to train: key_stride is 4, not 2\n"
    )
    assert ended(capsys, *run, "--set", "key_stride=4")[0] == 0


def test_an_epoch_has_at_least_one_step(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--epochs", "9", "--crop", "16"]
    error = refused(capsys, *run, "--batch", "16", "--epoch-size", "8", status=2)
    assert "a step has 16 samples and an epoch 8: give --epoch-size 16 or more" in error


def test_a_picture_too_small_to_validate_on_is_named_before_the_training(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("rainy", "clean"):
        write(Path("val") / folder / "small.png", picture(0, 12, 40))
    run = ["--train", spec, "--val", "pairs:val/rainy,val/clean", "--init", "tiny.pt", "--epochs", "1"]
    error = refused(capsys, *run, "--out", "run")
    assert "validation picture small" in error and "40x12" in error
    assert not Path("run").exists()


def test_weights_are_saved_before_the_validation(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation that runs out of memory, or a kill in it, cost the epoch."""
    run = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--out", "run", "--epoch-size", "2"]
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise UserError("out of memory")

        patch.setattr("granet.training.validation.Validation.measure", full)
        status, err = ended(capsys, *run, "--epochs", "1")
        assert status == 1 and "error: out of memory" in err
    assert {path.name for path in Path("run").iterdir()} >= {"last.pt", "state.pt"}
    status, err = ended(capsys, *run, "--epochs", "1", "--resume")
    assert status == 0 and "complete after 2 steps" in err and "epoch 1: loss" in err


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ("--epochs 1 --minutes 1", 2, "--minutes with --epochs: both limit the training"),
        ("--cosine", 2, "--cosine without --epochs or --minutes: it needs to know when the training ends"),
        ("--batch 2", 2, "--batch without --crop: whole pictures differ in size"),
        ("--resume --overwrite", 2, "--overwrite with --resume"),
        ("--train pairs:a,b@0.5", 2, "has no share: give each --train a share"),
        ("--train nothing:here", 2, "'nothing:here' is not a data set"),
        ("--val rain100l:nowhere", 1, "nowhere: there is no such directory"),
        ("--heaviness 3 --train synthetic:data/clean", 2, "expected LOW-HIGH from 0"),
        ("--set width=3", 2, "unknown settings: width"),
        ("--set channels=many", 2, "expected NAME=VALUE"),
        ("--init nowhere.pt", 1, "nowhere.pt: there is no such file"),
        ("--preset lite --init tiny.pt", 1, "--init tiny.pt: its network differs from the one to train"),
        ("--resume", 1, "there is no training to resume"),
        ("--crop 64 --batch 4 --stable 0.5", 2, "--stable without --cosine"),
        ("--cosine --epochs 2 --patience 1", 2, "--patience with --cosine: it belongs to the plateau"),
        ("--lr 1e-4 --epochs 2 --patience 1", 2, "--patience with --lr 0.0001: the plateau schedule"),
        ("--crop 24 --long-side 64", 2, "--long-side with --crop"),
        ("--crop 24,32", 2, "--crop 24,32 without --epochs: several sizes divide the epochs"),
        ("--crop 24,32 --epochs 1", 2, "--crop 24,32 with --epochs 1: 2 sizes need at least as many epochs"),
        ("--crop 24,32 --epochs 2 --batch 3", 2, "--epoch-size 4 is not a multiple of 3"),
        ("--crop 57", 1, "--crop 57 is larger than the pictures of pairs of rainy"),
        ("--crop 24,8", 2, "expected sizes of at least 16 pixels, as in 128 or 96,128,192"),
        ("--crop wide", 2, "expected sizes of at least 16 pixels"),
        ("--heaviness 0.1-0.2", 2, "--heaviness without --train synthetic:DIR"),
        ("--overwrite --continue tiny.pt", 2, "--continue with --overwrite"),
        ("--resume --continue tiny.pt", 2, "--continue with --resume"),
        ("--set channels=8 --set channels=4", 2, "--set channels=... is given 2 times: give it once"),
        ("--continue tiny.pt", 1, "--continue tiny.pt: the checkpoint does not record the progress"),
        ("--data .", 2, "--data without --recipe: it replaces {data} in --train and --val, and neither"),
        ("--train pairs:{data}/a,{data}/b", 2, "give the directory of the data with --data"),
        (
            "--train synthetic:{data}/a?faults=1",
            2,
            "synthetic:{data}/a: give the directory of the data with --data",
        ),
        ("--teacher nowhere.pt", 1, "--teacher nowhere.pt: there is no such file"),
        ("--recipe nowhere.toml", 1, "the packaged recipes are base"),
        ("--set channels=4 --renew-coarse", 2, "--renew-coarse without --init"),
        ("--set channels=4 --revive", 2, "--revive without --init"),
        ("--set fine_stage=false --coarse-loss 0.2", 2, "--coarse-loss without a fine stage: "),
        ("--lr nought", 2, "--lr: give a number"),
        ("--preset big", 2, "--preset: big is not a choice"),
    ],
)
def test_a_wrong_option_is_one_line_and_no_file_is_written(
    options: str, status: int, reason: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(Path().rglob("*"))
    basic = [] if "--init" in options else ["--init", "tiny.pt"] if "--set" not in options else []
    assert reason in refused(
        capsys, "--train", spec, "--val", spec, *basic, *shlex.split(options), "--out", "run", status=status
    )
    assert set(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "conflict"),
    [
        ("--train drawn:1 --lr 1e-4 --patience 1", None),  # without a limit, patience ends the training
        ("--train drawn:1 --lr 2e-4 --patience 1 --epochs 2", None),
        ("--train drawn:1 --lr 1e-4 --patience 1 --epochs 2", "--patience with --lr 0.0001"),
        ("--train clean:a --train drawn:1 --dry 0.1", None),
        ("--train clean:a --dry 0", None),
        ("--train clean:a --dry 0.1", "--dry with --train clean:DIR"),
        ("--train drawn:1 --batch 1", None),
        ("--train drawn:1 --crop 24,32 --epochs 2", None),
    ],
)
def test_only_options_without_effect_are_refused(
    options: str,
    conflict: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("granet.training.run.run_training", lambda options: None)
    status, err = ended(capsys, "--val", "drawn:1", *shlex.split(options))
    assert (status, err) == (0, "") if conflict is None else (status == 2 and conflict in err), err


@pytest.mark.parametrize("missing", ["torch", "matplotlib"])
def test_the_base_install_names_the_packages_to_install(
    missing: str, spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "granet.app.extras.find_spec",
        lambda name: None if name == missing else importlib.util.find_spec(name),
    )
    message = refused(capsys, "--train", spec, "--val", spec)
    assert f"training needs {missing}, which is not installed: pip install {missing}" in message


def test_training_needs_what_the_project_declares_for_it() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    declared = project["optional-dependencies"]["train"]
    assert {requirement.partition(">=")[0] for requirement in declared} == set(PACKAGES)


def test_help_needs_no_torch() -> None:
    code = "import sys, granet.training.cli; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_pictures_of_different_sizes_end_a_training_with_a_line(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("data/clean/2.png"), picture(2, 41, 56))
    message = refused(
        capsys, "--train", spec, "--val", spec, "--init", "tiny.pt", "--epochs", "1", "--out", "run"
    )
    assert "2.png has 56x40 pixels" in message and "same size" in message


class Measured:
    """Stands in for the measurement of number formats: returns a given one and records its arguments."""

    def __init__(self, found: Compute) -> None:
        self.found = found
        self.asked: list[tuple[list[Compute], Compute | None]] = []

    def __call__(
        self, network: Any, pixels: Any, device: Any, candidates: list[Compute], preferred: Any, total: Any
    ) -> tuple[Compute, str]:
        self.asked.append((candidates, preferred))
        return self.found, f"computing in {self.found}"


def test_a_resumed_training_keeps_its_number_format_or_says_why_not(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    basic = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--out", "run", "--epoch-size", "2"]
    fast = Compute("bf16", channels_last=True)
    monkeypatch.setattr("granet.training.run.fastest", measured := Measured(fast))
    status, err = ended(capsys, *basic, "--epochs", "1")
    assert status == 0 and "computing in bfloat16, channels-last" in err and "note" not in err
    assert load_state(Path("run/state.pt")).compute == fast

    status, err = ended(capsys, *basic, "--epochs", "2", "--resume")
    assert status == 0 and "note" not in err
    assert measured.asked[-1] == (list(CANDIDATES), fast)

    measured.found = PLAIN  # a machine without bfloat16
    status, err = ended(capsys, *basic, "--epochs", "3", "--resume")
    assert status == 0
    assert (
        "note: the training began in bfloat16, channels-last, which is slower on this machine: "
        "it continues in float32, contiguous\n"
    ) in err
    assert load_state(Path("run/state.pt")).compute == PLAIN


def test_a_requested_number_format_is_used(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    basic = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--out", "run", "--epoch-size", "2"]
    monkeypatch.setattr("granet.training.run.fastest", measured := Measured(Compute("bf16", False)))
    status, err = ended(capsys, *basic, "--epochs", "1", "--precision", "bf16")
    assert status == 0, err
    assert {way.precision for way in measured.asked[-1][0]} == {"bf16"}
    status, err = ended(capsys, *basic, "--epochs", "1", "--channels-last", "--overwrite")
    assert status == 0 and all(way.channels_last for way in measured.asked[-1][0])

    times = len(measured.asked)
    both = ["--precision", "bf16", "--channels-last"]
    status, err = ended(capsys, *basic, "--epochs", "1", *both, "--overwrite")
    assert status == 0 and len(measured.asked) == times and "computing in" not in err
    assert load_state(Path("run/state.pt")).compute == Compute("bf16", channels_last=True)


def test_a_training_continues_from_its_weights_alone(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    basic = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--epoch-size", "2", "--epochs", "2"]
    monkeypatch.setattr("granet.training.run.fastest", Measured(PLAIN))
    assert ended(capsys, *basic, "--out", "first")[0] == 0
    Path("kept.pt").write_bytes(Path("first/last.pt").read_bytes())
    scratch = ["--train", spec, "--val", spec, "--set", "channels=8", "--out", "second", "--epoch-size", "2"]
    message = refused(capsys, *scratch, "--epochs", "2", "--continue", "kept.pt")
    assert message.startswith("error: --continue kept.pt needs the options of the training it continues")
    other = ["--train", spec, "--val", spec, "--init", "other.pt", "--out", "second", "--epoch-size", "2"]
    message = refused(capsys, *other, "--epochs", "2", "--continue", "kept.pt")
    assert "init is other.pt instead of tiny.pt" in message
    assert not Path("second").exists()

    # The recipe names the initial weights, but a training that goes on does not read them.
    Path("tiny.pt").unlink()
    longer = [*basic[:-1], "4"]
    status, err = ended(capsys, *longer, "--out", "second", "--continue", "kept.pt")
    assert status == 0, err
    assert "continues after step 4" in err and "complete after 8 steps" in err
    status, err = ended(capsys, *longer[:-1], "5", "--out", "second", "--resume")
    assert status == 0 and "continues after step 8" in err and "complete after 10 steps" in err
    # Without --init too: `make weights` gives it at the start only.
    at = longer.index("--init")
    network = [
        word for name, value in asdict(CONFIG).items() for word in ("--set", f"{name}={json.dumps(value)}")
    ]
    bare = [*longer[:at], *network, *longer[at + 2 : -1]]
    status, err = ended(capsys, *bare, "6", "--out", "second", "--resume")
    assert status == 0 and "complete after 12 steps" in err, err
    assert load_state(Path("second/state.pt")).recipe["init"] == "tiny.pt"


def endless(spec: str, epochs: int = 100_000) -> list[str]:
    options = ["--train", spec, "--val", spec, "--init", "tiny.pt", "--out", "run", "--epoch-size", "3"]
    return [*options, "--lr", "1e-3", "--epochs", str(epochs)]


def start(spec: str) -> "subprocess.Popen[str]":
    """A training without end, after its second epoch."""
    command = [sys.executable, "-m", "granet.training.cli", *ON_ONE_CORE, *endless(spec)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    until = time.monotonic() + PATIENCE
    while not (Path("run/log.jsonl").exists() and Path("run/log.jsonl").read_text().count("\n") >= 2):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_can_be_resumed_with_the_printed_command(
    sent: signal.Signals, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(spec)
    process.send_signal(sent)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -sent
    last = err.splitlines()[-1]
    assert last.startswith("run: interrupted after ") and "Traceback" not in err
    command = last.partition("resume with: ")[2]
    assert command == shlex.join(["granet-train", *ON_ONE_CORE, *endless(spec), "--resume"])
    steps = load_state(Path("run/state.pt")).progress.steps
    assert steps >= 6 and f"after {steps} steps" in last
    status, err = ended(capsys, *endless(spec, steps // 3 + 1), "--resume")
    assert status == 0 and f"continues after step {steps}" in err


@pytest.mark.parametrize("option", ["--overwrite", "--resume"])
def test_two_trainings_do_not_write_to_one_directory(
    spec: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(spec)
    try:
        status, err = ended(capsys, *endless(spec, 1), option)
        assert status == 1
        assert err.splitlines()[-1] == "error: run: another training writes to it; use another --out"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert load_state(Path("run/state.pt")).progress.steps >= 6


def test_a_killed_training_leaves_checkpoints_that_can_be_read(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(spec)
    process.kill()
    process.communicate(timeout=PATIENCE)
    left = Path("run/.last.0123abcd.pt")
    left.write_bytes(b"half of a file")  # left by a kill during a write
    for name in ("best.pt", "last.pt"):
        assert load_checkpoint(f"run/{name}").config == CONFIG
    epoch = load_state(Path("run/state.pt")).progress.epoch
    status, err = ended(capsys, *endless(spec, epoch + 1), "--resume")
    assert status == 0, err
    assert not left.exists()
    rows = Path("run/log.jsonl").read_text().splitlines()
    assert len(rows) == epoch + 1
