"""The training loop: the recipe's steps, the same result straight or resumed, and how it ends badly."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from granet import GraNet, GraNetConfig, load_checkpoint
from granet.checkpoint import read_checkpoint
from granet.data.datasets import open_dataset
from granet.data.image_files import read_rgb
from granet.errors import UserError
from granet.size_rule import SizeRule
from granet.training.compute import PLAIN, Compute
from granet.training.processes import Processes, find_device
from granet.training.recipe import Limits, Recipe
from granet.training.samples import Cutting, TrainingData
from granet.training.start import first_network
from granet.training.state import load_state
from granet.training.trainer import Trainer
from granet.training.validation import Validation
from tests.granet.rain_sets import clean_directory, pairs_directory

TINY = GraNetConfig(channels=4, growth=2, dense_layers=1, nonlocal_channels=2, fine_blocks=1, key_stride=4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of floats depend on how many threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_plot(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plot takes longer than these trainings; those that look at it have ``plot`` in their names."""
    if "plot" not in request.node.name:
        monkeypatch.setattr("granet.training.files.draw_training", lambda lines, path: None)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    spec = pairs_directory(tmp_path / "data")
    return Recipe(config=asdict(TINY), train=(spec,), val=(spec,), seed=5)


def trainer(
    recipe: Recipe,
    out: Path,
    limits: Limits | None = None,
    workers: int = 0,
    heard: list[str] | None = None,
    compute: Compute = PLAIN,
    processes: Processes | None = None,
    kind: type[TrainingData] = TrainingData,
) -> Trainer:
    out.mkdir(exist_ok=True)
    datasets = [open_dataset(spec, "train") for spec in recipe.train]
    epochs = (limits or Limits(epochs=1)).epochs or 1
    cutting = Cutting(recipe.crop, recipe.long_side, recipe.dry, epochs)
    data = kind(datasets, recipe.weights, recipe.seed, cutting, recipe.epoch_size)
    joined = processes or Processes(0, 1, torch.device("cpu"))
    validation = Validation([open_dataset(spec, "test") for spec in recipe.val], joined, SizeRule())
    say = (heard if heard is not None else []).append
    return Trainer(
        recipe, data, validation, out, limits or Limits(epochs=1), joined, say, workers, compute=compute
    )


def after(steps: int) -> Callable[[], bool]:
    """A stop that comes with step number ``steps``."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= steps

    return stop


def weights(path: Path) -> dict[str, Tensor]:
    return dict(read_checkpoint(path).state)


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (out / "log.jsonl").read_text().splitlines()]


# --- the recipe ------------------------------------------------------------------------------------


def test_the_defaults_are_the_papers() -> None:
    recipe = Recipe(config={}, train=(), val=())
    # Section 4.3: batch 1, Adam 0.0005, reduced by 10% until 0.0001, patience 3, long side 512.
    assert (recipe.batch, recipe.lr, recipe.lr_factor, recipe.min_lr) == (1, 0.0005, 0.9, 0.0001)
    assert (recipe.patience, recipe.long_side) == (3, 512)
    off = (recipe.crop, recipe.ema, recipe.clip_gradient, recipe.cosine, recipe.teacher)
    assert off == (None, None, None, False, None) and recipe.dry == recipe.stable == 0
    assert recipe.coarse_loss == 0 and not recipe.renew_coarse
    assert recipe.loss == "l1"  # equation 9


def test_steps_are_adam_on_the_mean_absolute_error(recipe: Recipe, tmp_path: Path) -> None:
    trainer(recipe, tmp_path / "run").run()
    network = first_network(recipe)
    data = TrainingData([open_dataset(recipe.train[0], "train")], None, recipe.seed, Cutting())
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-4)
    losses = []
    for number in range(4):  # equation 9, written out
        rainy, clean = (torch.tensor(x).permute(0, 3, 1, 2) / 255 for x in data.batch(number, 1))
        loss = (network(rainy) - clean).abs().sum() / clean.numel()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    found = weights(tmp_path / "run" / "last.pt")
    for name, expected in network.state_dict().items():
        assert torch.allclose(found[name], expected, rtol=0, atol=1e-6), name
    assert log(tmp_path / "run")[0]["loss"] == pytest.approx(sum(losses) / 4, rel=1e-5)


def test_training_learns(recipe: Recipe, tmp_path: Path) -> None:
    trainer(replace(recipe, lr=1e-2), tmp_path / "run", Limits(epochs=12)).run()
    lines = log(tmp_path / "run")
    assert [line["epoch"] for line in lines] == list(range(1, 13))
    assert lines[-1]["loss"] < 0.4 * lines[0]["loss"]
    assert lines[-1]["psnr_matlab_db"] > lines[0]["psnr_matlab_db"] + 6


def test_best_is_the_best_and_last_the_last(recipe: Recipe, tmp_path: Path) -> None:
    heard: list[str] = []
    trainer(replace(recipe, lr=0.02), tmp_path / "run", Limits(epochs=6), heard=heard).run()
    lines = log(tmp_path / "run")
    best = max(lines, key=lambda line: line["psnr_paper_db"])
    facts = read_checkpoint(tmp_path / "run" / "best.pt").facts
    assert (facts["epoch"], facts["psnr_paper_db"]) == (best["epoch"], best["psnr_paper_db"])
    assert read_checkpoint(tmp_path / "run" / "last.pt").facts["epoch"] == 6
    assert facts["recipe"]["train"] == ["pairs:rainy,clean"] and len(heard) == 6


def test_the_plot_is_a_picture(recipe: Recipe, tmp_path: Path) -> None:
    trainer(recipe, tmp_path / "run").run()
    assert (tmp_path / "run" / "log.png").read_bytes().startswith(b"\x89PNG")
    plot = read_rgb(tmp_path / "run" / "log.png")
    assert min(plot.shape[:2]) > 400 and len(np.unique(plot.reshape(-1, 3), axis=0)) > 10


def test_the_rate_sinks_on_a_plateau_and_the_training_ends_there(recipe: Recipe, tmp_path: Path) -> None:
    stuck = replace(recipe, lr=1.2e-8, min_lr=1e-8, patience=1)  # too slow to change a rounded level
    run = trainer(stuck, tmp_path / "run", Limits())
    assert run.run()
    rates = [line["lr"] for line in log(tmp_path / "run")]
    # Best in epoch 1; after 2 more without a better one the rate is 0.9 of it, after 2 more at its least,
    # where another 2 are the end.
    assert rates == pytest.approx([1.2e-8] * 3 + [1.08e-8] * 2 + [1e-8] * 2, rel=1e-6)


def test_the_cosine_rises_and_ends_near_zero(recipe: Recipe, tmp_path: Path) -> None:
    run = trainer(replace(recipe, cosine=True, lr=1e-3, epoch_size=100), tmp_path / "run", Limits(epochs=5))
    rates = []
    for step in range(0, 501, 50):
        run.progress.steps = run.progress.samples = step
        rates.append(run.schedule.cosine_rate(run.progress))
    assert rates[0] == pytest.approx(1e-3 / 200)
    assert max(rates) == rates[4] == pytest.approx(2e-6 + 998e-6 * 0.6545, rel=1e-3)  # cos(0.4 pi) = 0.309
    assert rates[-1] == pytest.approx(2e-6)


def test_the_moving_average_is_what_is_saved(recipe: Recipe, tmp_path: Path) -> None:
    averaged = replace(recipe, ema=0.9)
    trainer(averaged, tmp_path / "run").run()
    states = load_state(tmp_path / "run" / "state.pt").states
    expected = dict(first_network(averaged).state_dict())
    raw = tmp_path / "raw"
    for step in range(4):  # the weights after each step, from a training without it
        run = trainer(recipe, raw)
        run.run(after(step + 1))
        decay = min(0.9, (1 + step) / (10 + step))
        now = run.learner.result.state_dict()
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
    saved = weights(tmp_path / "run" / "last.pt")
    for name in expected:
        assert torch.allclose(saved[name], expected[name], atol=1e-6), name
        assert torch.allclose(states["model"][name], weights(raw / "last.pt")[name], atol=1e-7), name


def test_the_gradient_is_clipped(recipe: Recipe, tmp_path: Path) -> None:
    run = trainer(replace(recipe, clip_gradient=1e-3), tmp_path / "run")
    run.run(after(1))
    norm = torch.stack([p.grad.norm() for p in run.learner.result.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_bfloat16_channels_last_is_near_float32(recipe: Recipe, tmp_path: Path) -> None:
    trainer(recipe, tmp_path / "a").run()
    trainer(recipe, tmp_path / "b", compute=Compute("bf16", channels_last=True)).run()
    first, second = log(tmp_path / "a")[0]["loss"], log(tmp_path / "b")[0]["loss"]
    assert first != second and first == pytest.approx(second, rel=0.03)
    assert load_state(tmp_path / "b" / "state.pt").compute == Compute("bf16", channels_last=True)


# --- the same result -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_two_steps_resumed_for_two_more_are_four(workers: int, recipe: Recipe, tmp_path: Path) -> None:
    modern = replace(
        recipe, train=(f"synthetic:{clean_directory(tmp_path / 'clean')}?split=all&faults=0.5",),
        crop=(24, 32), batch=2, epoch_size=6, dry=0.2, ema=0.99, clip_gradient=0.3, loss="l1+ssim",
    )  # fmt: skip
    layout = Compute(channels_last=True)
    assert trainer(modern, tmp_path / "straight", Limits(epochs=2), compute=layout).run()
    # Interrupted within the first epoch of three steps, and again within the second.
    assert not trainer(modern, tmp_path / "parts", Limits(epochs=2), workers, compute=layout).run(after(2))
    for steps in (2, 99):
        run = trainer(modern, tmp_path / "parts", Limits(epochs=2), workers, compute=layout)
        run.resume()
        run.run(after(steps))
    assert run.progress.steps == 6
    for name in ("best.pt", "last.pt"):
        assert_equal(weights(tmp_path / "parts" / name), weights(tmp_path / "straight" / name))
    timeless = [[{k: v for k, v in line.items() if k != "minutes"} for line in log(tmp_path / d)]
                for d in ("parts", "straight")]  # fmt: skip
    assert timeless[0] == timeless[1]


def test_the_seed_decides(recipe: Recipe, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        trainer(replace(recipe, seed=seed), tmp_path / name).run()
    assert_equal(weights(tmp_path / "a" / "last.pt"), weights(tmp_path / "b" / "last.pt"))
    other = weights(tmp_path / "c" / "last.pt")
    assert any(
        not torch.equal(value, other[name]) for name, value in weights(tmp_path / "a" / "last.pt").items()
    )


def test_a_resumed_training_drops_the_lines_it_writes_again(recipe: Recipe, tmp_path: Path) -> None:
    trainer(recipe, tmp_path / "run", Limits(epochs=2)).run()
    with (tmp_path / "run" / "log.jsonl").open("a") as file:  # killed between the log and the state
        file.write('{"epoch": 3, "samples": 12, "steps": 12}\n{"epoch": 4, "sam')
    run = trainer(recipe, tmp_path / "run", Limits(epochs=3))
    run.resume()
    run.run()
    assert [line["epoch"] for line in log(tmp_path / "run")] == [1, 2, 3]


def test_starting_from_a_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    trainer(recipe, tmp_path / "run").run()
    init = tmp_path / "run" / "best.pt"
    assert_equal(dict(first_network(replace(recipe, init=str(init))).state_dict()), weights(init))
    with pytest.raises(UserError, match=r"best\.pt: its network differs.*channels is 4, not 8"):
        first_network(replace(recipe, init=str(init), config=asdict(replace(TINY, channels=8))))


# --- ends ------------------------------------------------------------------------------------------


def test_a_training_of_another_network_or_seed_is_not_resumed(recipe: Recipe, tmp_path: Path) -> None:
    trainer(recipe, tmp_path / "run").run()
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    other = replace(recipe, seed=7, crop=(16,), config=asdict(replace(TINY, channels=6)))
    run = trainer(other, tmp_path / "run")
    with pytest.raises(UserError) as caught:
        run.resume()
    message = str(caught.value)
    assert "config is {'channels': 6} instead of {'channels': 4}" in message
    assert "seed is 7 instead of 5" in message and "crop is [16] instead of None" in message
    assert "train" not in message.split(", but ")[1] and "\n" not in message
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "there is no training to resume"), (b"junk", "neither a zip archive nor a pickle")],
)
def test_a_state_that_is_missing_or_damaged(
    content: bytes | None, reason: str, recipe: Recipe, tmp_path: Path
) -> None:
    run = trainer(recipe, tmp_path / "run")
    if content is not None:
        run.files.state_path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        run.resume()


def test_a_checkpoint_is_refused_as_a_state_file(recipe: Recipe, tmp_path: Path) -> None:
    run = trainer(recipe, tmp_path / "run")
    run.run()
    (tmp_path / "run" / "last.pt").replace(run.files.state_path)
    with pytest.raises(UserError, match="not the state of a training"):
        run.resume()


def poison(network: GraNet) -> None:
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))


@pytest.mark.parametrize(
    ("step", "what"), [(6, "after 6 steps loss or gradient is"), (8, "after 8 steps the weights are")]
)
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    step: int, what: str, recipe: Recipe, tmp_path: Path
) -> None:
    run = trainer(recipe, tmp_path / "run", Limits(epochs=9))
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        if steps == step:  # in the second epoch of four, or with its last step
            poison(run.learner.result)
        return False

    with pytest.raises(UserError, match=rf"{what} no longer finite.*last\.pt is from before"):
        run.run(stop)
    for name in ("best.pt", "last.pt"):
        assert all(torch.isfinite(value).all() for value in weights(tmp_path / "run" / name).values())
        assert read_checkpoint(tmp_path / "run" / name).facts["steps"] == 4
    again = trainer(recipe, tmp_path / "run", Limits(epochs=2))
    again.resume()
    assert again.run()


@pytest.mark.parametrize(
    "name",
    [pytest.param("log.png", id="plot"), *("best.pt", "last.pt", "state.pt", "log.jsonl")],
)
def test_a_full_disk_stops_with_a_line_and_keeps_what_was_there(
    name: str, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    trainer(replace(recipe, lr=3e-3), out).run()
    before = {n: (out / n).read_bytes() for n in ("best.pt", "last.pt", "state.pt", "log.jsonl")}
    full = OSError(errno.ENOSPC, "No space left on device")
    real_append, real_create = Path.open, os.open

    def append(path: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "a" and path.name == name:
            raise full
        return real_append(path, mode, **options)

    def create(path: Any, *options: Any, **more: Any) -> int:
        partial = Path(path)
        if partial.name.startswith(f".{Path(name).stem}.") and partial.suffix == Path(name).suffix:
            raise full
        return real_create(path, *options, **more)

    run = trainer(replace(recipe, lr=3e-3), out, Limits(epochs=2))
    run.resume()
    monkeypatch.setattr(Path, "open", append)
    monkeypatch.setattr(os, "open", create)
    with pytest.raises(UserError) as caught:
        run.run()
    assert str(caught.value) == f"{out / name}: cannot be written: No space left on device"
    monkeypatch.undo()
    if name != "log.png":
        assert (out / name).read_bytes() == before[name]
    assert not list(out.glob(".*"))  # nothing half-written
    again = trainer(replace(recipe, lr=3e-3), out, Limits(epochs=2))
    again.resume()
    assert again.run() and [line["epoch"] for line in log(out)] == [1, 2]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_be_read_is_named_whoever_reads_it(
    workers: int, recipe: Recipe, tmp_path: Path
) -> None:
    run = trainer(recipe, tmp_path / "run", workers=workers)
    (tmp_path / "data" / "rainy" / "2.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"2\.png: is damaged, or not a picture") as caught:
        run.run()
    assert "\n" not in str(caught.value)


def test_time_is_up_within_an_epoch_and_what_was_learnt_is_measured(recipe: Recipe, tmp_path: Path) -> None:
    run = trainer(replace(recipe, epoch_size=10**4), tmp_path / "run", Limits(minutes=0.005))
    assert run.run()
    (line,) = log(tmp_path / "run")
    assert 0 < line["samples"] < 10**4
    assert load_checkpoint(tmp_path / "run" / "best.pt").config == TINY


def test_an_epoch_that_the_time_cut_short_goes_on(recipe: Recipe, tmp_path: Path) -> None:
    short = trainer(replace(recipe, epoch_size=6), tmp_path / "run", Limits(minutes=1e-9))
    assert short.run()
    assert (short.progress.samples, short.progress.epoch) == (1, 0)
    longer = trainer(replace(recipe, epoch_size=6), tmp_path / "run", Limits(epochs=1))
    longer.resume()
    assert longer.run() and (longer.progress.samples, longer.progress.epoch) == (6, 1)
    assert [(line["epoch"], line["samples"]) for line in log(tmp_path / "run")] == [(1, 1), (1, 6)]


def test_a_save_at_the_last_step_of_an_epoch_does_not_replace_that_of_its_end(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("granet.training.trainer.SECONDS_BETWEEN_SAVES", -1.0)  # after every step
    assert trainer(recipe, tmp_path / "run").run()
    state = load_state(tmp_path / "run" / "state.pt").progress
    assert (state.samples, state.epoch) == (4, 1) and state.best_db is not None
    assert read_checkpoint(tmp_path / "run" / "last.pt").facts["epoch"] == 1


def test_a_gpu_that_is_not_there_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="PyTorch finds no GPU"):
        find_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto", 1) == torch.device("cuda", 1) and find_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="no GPU for process 3 of this machine, which has 2"):
        find_device("cuda", 2)
