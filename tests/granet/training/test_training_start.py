"""The start of a training: weights, a teacher, number format, files of older versions."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from granet import GraNet, GraNetConfig, save_checkpoint
from granet.checkpoint import read_checkpoint
from granet.data.datasets import open_dataset
from granet.data.image_files import Pixels
from granet.errors import UserError
from granet.training.compute import PLAIN, Compute
from granet.training.processes import Processes
from granet.training.recipe import Limits, Recipe, shareable_facts
from granet.training.samples import Cutting, TrainingData
from granet.training.start import first_network
from granet.training.state import load_state
from tests.granet.rain_sets import pairs_directory
from tests.granet.training.test_trainer import TINY, after, log, no_plot, one_thread, trainer, weights

__all__ = ["no_plot", "one_thread"]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    spec = pairs_directory(tmp_path / "data")
    return Recipe(config=asdict(TINY), train=(spec,), val=(spec,), seed=5)


def message_of(caught: pytest.ExceptionInfo[UserError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- the coarse stage ---------------------------------------------------------------------------------


def test_a_share_of_the_loss_is_that_of_the_coarse_result(recipe: Recipe, tmp_path: Path) -> None:
    both = replace(recipe, coarse_loss=0.25)
    trainer(both, tmp_path / "run").run(after(1))
    network = first_network(both)
    pixels = TrainingData([open_dataset(recipe.train[0], "train")], None, 5, Cutting()).batch(0, 1)
    rainy, clean = (torch.tensor(each).permute(0, 3, 1, 2) / 255 for each in pixels)
    _, coarse, derained = network.forward_stages(rainy)
    loss = (derained - clean).abs().mean() + 0.25 * (coarse - clean).abs().mean()
    loss.backward()
    torch.optim.Adam(network.parameters(), lr=both.lr).step()
    found = weights(tmp_path / "run" / "last.pt")
    for name, expected in network.state_dict().items():
        assert torch.allclose(found[name], expected, rtol=0, atol=1e-6), name


def test_a_silent_coarse_stage_starts_anew_and_the_result_stays(recipe: Recipe, tmp_path: Path) -> None:
    silent = GraNet(TINY)
    nn.init.constant_(silent.coarse.head.bias, -9.0)  # type: ignore[arg-type]
    nn.init.zeros_(silent.coarse.mask.weight)
    save_checkpoint(tmp_path / "silent.pt", silent)
    network = first_network(replace(recipe, init=str(tmp_path / "silent.pt"), renew_coarse=True))
    rainy = torch.rand(1, 3, 32, 48)
    torch.testing.assert_close(network(rainy), silent(rainy))
    assert torch.relu(network.coarse.head(rainy)).any() and not torch.relu(silent.coarse.head(rainy)).any()
    network(rainy).mean().backward()
    assert network.coarse.mask.weight.grad is not None and network.coarse.mask.weight.grad.any()


# --- a teacher ---------------------------------------------------------------------------------------


def grey_teacher(path: Path, level: float, **facts: Any) -> Path:
    """A GraNet whose result is the grey ``level`` whatever it sees."""
    network = GraNet(GraNetConfig(**{**asdict(TINY), "residual_output": False, "fold": 2}))
    assert network.fine is not None
    nn.init.zeros_(network.fine.reconstruct.weight)
    nn.init.constant_(network.fine.reconstruct.bias, level)  # type: ignore[arg-type]
    save_checkpoint(path, network, **facts)
    return path


def test_the_loss_is_to_the_truth_and_half_of_it_to_the_teacher(recipe: Recipe, tmp_path: Path) -> None:
    level = 0.25
    taught = replace(recipe, teacher=str(grey_teacher(tmp_path / "teacher.pt", level)))
    trainer(taught, tmp_path / "run").run(after(1))
    network = first_network(taught)
    rainy, clean = (
        torch.tensor(pixels).permute(0, 3, 1, 2) / 255
        for pixels in TrainingData([open_dataset(recipe.train[0], "train")], None, 5, Cutting()).batch(0, 1)
    )
    derained = network(rainy)
    loss = (derained - clean).abs().mean() + 0.5 * (derained - level).abs().mean()
    loss.backward()
    torch.optim.Adam(network.parameters(), lr=taught.lr).step()
    found = weights(tmp_path / "run" / "last.pt")
    for name, expected in network.state_dict().items():
        assert torch.allclose(found[name], expected, rtol=0, atol=1e-6), name
    state = load_state(tmp_path / "run" / "state.pt")
    assert state.progress.loss_sum == pytest.approx(loss.item(), rel=1e-5)


def test_a_teacher_stays_as_it_is(recipe: Recipe, tmp_path: Path) -> None:
    path = grey_teacher(tmp_path / "teacher.pt", 0.5)
    before = path.read_bytes()
    run = trainer(replace(recipe, teacher=str(path), ema=0.9), tmp_path / "run")
    run.run()
    assert path.read_bytes() == before
    names = weights(tmp_path / "run" / "last.pt").keys()
    assert names == GraNet(TINY).state_dict().keys()


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"colour": "bgr"}, "its colour order is 'bgr', but training uses RGB"),
        ({"colour": ["\n"]}, "training uses"),
    ],
)
def test_a_teacher_of_another_colour_order_is_refused(
    facts: dict[str, Any], reason: str, recipe: Recipe, tmp_path: Path
) -> None:
    path = grey_teacher(tmp_path / "teacher.pt", 0.5, **facts)
    with pytest.raises(UserError) as caught:
        trainer(replace(recipe, teacher=str(path)), tmp_path / "run")
    assert f"--teacher {path}: " in message_of(caught) and reason in message_of(caught)


def test_a_teacher_that_is_not_a_granet_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 8, 3).state_dict(), tmp_path / "other.pt")
    (tmp_path / "net.onnx").write_bytes(b"")
    for name, reason in (
        ("other.pt", "of another network"),
        ("net.onnx", "must end in .pt"),
        ("no.pt", "no such"),
    ):
        with pytest.raises(UserError) as caught:
            trainer(replace(recipe, teacher=str(tmp_path / name)), tmp_path / "run")
        assert message_of(caught).startswith(f"--teacher {tmp_path / name}: ") and reason in message_of(
            caught
        )


# --- the learning rate -------------------------------------------------------------------------------


def test_a_stable_share_comes_before_the_cosine(recipe: Recipe, tmp_path: Path) -> None:
    stable = replace(recipe, cosine=True, stable=0.6, lr=1e-3, epoch_size=1000)
    run = trainer(stable, tmp_path / "run", Limits(epochs=10))
    rates = {}
    for done in (0.1, 0.3, 0.599, 0.7, 0.8, 0.9, 1.0):
        run.progress.steps = run.progress.samples = round(10_000 * done)
        rates[done] = run.schedule.cosine_rate(run.progress)
    assert rates[0.1] == rates[0.3] == rates[0.599] == pytest.approx(1e-3)
    for done in (0.7, 0.8, 0.9, 1.0):  # what is left, from 0.6 on, is a half turn
        angle = math.pi * (done - 0.6) / 0.4
        assert rates[done] == pytest.approx(2e-6 + (1e-3 - 2e-6) * (1 + math.cos(angle)) / 2)


# --- crops that grow ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "sides"), [(3, "abc"), (6, "aabbcc"), (9, "aaabbbccc"), (7, "aaabbcc"), (4, "aabc")]
)
def test_sizes_share_the_epochs_in_their_order(epochs: int, sides: str, recipe: Recipe) -> None:
    sizes = {"a": 16, "b": 24, "c": 32}
    cutting = Cutting(tuple(sizes.values()), epochs=epochs)
    data = TrainingData([open_dataset(recipe.train[0], "train")], None, 1, cutting, epoch_size=2)
    shapes = [data.batch(2 * epoch, 2)[0].shape[1:3] for epoch in range(epochs)]
    assert shapes == [(sizes[side], sizes[side]) for side in sides]
    assert data.batch(2 * epochs, 2)[0].shape[1] == 32  # batches that are prepared beyond the end


def test_crops_of_several_sizes_do_not_go_on_within_a_step(recipe: Recipe, tmp_path: Path) -> None:
    several = replace(recipe, crop=(16, 24), epoch_size=4)
    trainer(several, tmp_path / "run", Limits(epochs=2)).run(after(1))
    processes = Processes(0, 1, torch.device("cpu"))
    wider = trainer(several, tmp_path / "run", Limits(epochs=2), processes=processes)
    wider.resume()
    processes.count = 2  # one sample was seen, and a step has two now
    with pytest.raises(UserError, match="1 samples are not a multiple of 2"):
        wider.run()
    again = trainer(several, tmp_path / "run", Limits(epochs=2))
    again.resume()
    assert again.run() and [line["samples"] for line in log(tmp_path / "run")] == [4, 8]


# --- going on from weights alone ---------------------------------------------------------------------


def test_continuing_takes_the_samples_that_come_next(recipe: Recipe, tmp_path: Path) -> None:
    long = replace(recipe, ema=0.9, cosine=True)
    trainer(long, tmp_path / "first", Limits(epochs=3)).run(after(6))
    ckpt = tmp_path / "first" / "last.pt"
    asked: list[int] = []

    class Noted(TrainingData):
        def batch(self, first: int, count: int) -> tuple[Pixels, Pixels]:
            asked.append(first)
            return super().batch(first, count)

    run = trainer(long, tmp_path / "second", Limits(epochs=3), kind=Noted)
    run.go_on_from(ckpt)
    assert (run.progress.samples, run.progress.steps, run.progress.epoch) == (6, 6, 1)
    for network in (run.learner.result, run.learner.model):
        for name, value in network.state_dict().items():
            assert torch.equal(value, weights(ckpt)[name])
    assert run.schedule.cosine_rate(run.progress) < 1.1 * recipe.lr / 200  # a short rise
    assert run.run()
    assert asked == list(range(6, 12))
    assert [line["epoch"] for line in log(tmp_path / "second")] == [2, 3]
    again = trainer(long, tmp_path / "second", Limits(epochs=100))
    again.resume()
    assert again.progress.samples == 12
    # After six steps the rise goes on: it began with this optimiser.
    assert again.schedule.cosine_rate(again.progress) == pytest.approx(7 / 200 * recipe.lr, rel=0.01)


def test_weights_of_another_recipe_or_without_facts_are_not_continued(recipe: Recipe, tmp_path: Path) -> None:
    trainer(recipe, tmp_path / "run").run()
    ckpt = tmp_path / "run" / "last.pt"
    other = trainer(replace(recipe, seed=6), tmp_path / "other")
    with pytest.raises(UserError) as caught:
        other.go_on_from(ckpt)
    assert message_of(caught).startswith(f"--continue {ckpt} needs the options of the training it continues")
    assert "seed is 6 instead of 5" in message_of(caught) and "--init" in message_of(caught)
    facts = read_checkpoint(ckpt).facts
    for bad in ({}, facts | {"samples": "many"}, facts | {"recipe": None}, facts | {"minutes": "long"}):
        save_checkpoint(tmp_path / "bare.pt", GraNet(TINY), **bad)
        with pytest.raises(UserError, match="does not record the progress of its training: use --init"):
            trainer(recipe, tmp_path / "other").go_on_from(tmp_path / "bare.pt")
    with pytest.raises(UserError, match="there is no such file"):
        trainer(recipe, tmp_path / "other").go_on_from(tmp_path / "none.pt")


# --- files of older versions -------------------------------------------------------------------------


def older(path: Path, recipe: Recipe, **changes: Any) -> None:
    """Rewrites a state as the version before folded frames wrote it."""
    content = torch.load(path, weights_only=True)
    del content["compute"]
    record = recipe.to_json() | {"amp": False, "channels_last": False} | changes
    for name in ("loss", "teacher", "stable"):
        del record[name]
    record["config"] = {name: value for name, value in record["config"].items() if name != "fold"}
    torch.save(content | {"recipe": record}, path)


@pytest.mark.parametrize(
    ("changes", "compute"),
    [({}, PLAIN), ({"amp": True, "channels_last": True}, Compute("bf16", True))],
)
def test_a_training_of_an_older_version_goes_on(
    changes: dict[str, Any], compute: Compute, recipe: Recipe, tmp_path: Path
) -> None:
    cropped = replace(recipe, crop=(24,))
    trainer(cropped, tmp_path / "run", Limits(epochs=2)).run(after(4))
    state = tmp_path / "run" / "state.pt"
    older(state, cropped, crop=24, **changes)
    assert load_state(state).compute == compute
    run = trainer(cropped, tmp_path / "run", Limits(epochs=2))
    run.resume()
    assert run.progress.steps == 4 and run.run()
    folded = replace(cropped, config=asdict(replace(TINY, fold=2)))
    older(state, cropped, crop=24)
    with pytest.raises(UserError, match=r"config is {'fold': 2} instead of {'fold': 1}"):
        trainer(folded, tmp_path / "run").resume()


def test_a_checkpoint_does_not_say_in_which_folder_its_first_weights_were(recipe: Recipe) -> None:
    recipe = replace(recipe, init="/home/me/first.pt", teacher="../big.pt")
    record = recipe.to_json()
    assert (record["init"], record["teacher"]) == ("first.pt", "big.pt")
    # The same training continues when its files have moved, and whichever version wrote the record.
    replace(recipe, init="elsewhere/first.pt").require_same(record)
    recipe.require_same(record | {"init": "/home/you/first.pt"})
    with pytest.raises(UserError, match=r"init is other\.pt instead of first.pt"):
        replace(recipe, init="other.pt").require_same(record)


def test_checkpoints_are_compared_by_their_content_if_it_is_known(recipe: Recipe) -> None:
    first = replace(recipe, init="first.pt", init_sha256="1" * 64, teacher="big.pt", teacher_sha256="2" * 64)
    record = first.to_json()
    replace(first, init="moved.pt", teacher="renamed.pt").require_same(record)
    with pytest.raises(UserError, match=r"teacher is big\.pt with other content instead of big\.pt; give"):
        replace(first, teacher_sha256="3" * 64).require_same(record)
    # A file that is gone, and a record of an older version, have no hash: the name decides.
    replace(first, init_sha256=None).require_same(record)
    older = {name: value for name, value in record.items() if not name.endswith("_sha256")}
    first.require_same(older)
    with pytest.raises(UserError, match=r"teacher is other\.pt instead of big\.pt"):
        replace(first, teacher="other.pt").require_same(older)


def test_a_training_that_goes_on_needs_no_first_weights(recipe: Recipe) -> None:
    first = replace(recipe, init="first.pt", init_sha256="1" * 64, renew_coarse=True)
    recipe.require_same(first.to_json())
    assert recipe.completed(first.to_json()) == first
    with pytest.raises(UserError, match=r"init is first\.pt instead of None"):
        first.require_same(recipe.to_json())


def test_a_recipe_has_no_folders_whichever_version_wrote_it(recipe: Recipe) -> None:
    at_home = replace(recipe, train=("rain100l:/home/me/Rain100L",), val=("clean:/home/me/photos",))
    record = at_home.to_json()
    assert "/home" not in str(record)
    assert (record["train"], record["val"]) == (["rain100l:Rain100L"], ["clean:photos"])
    replace(at_home, train=("rain100l:/mnt/Rain100L",)).require_same(record)
    older = record | {"train": ["rain100l:/home/you/Rain100L"], "init": "/home/you/first.pt"}
    at_home.require_same(older)
    with pytest.raises(UserError, match=r"train is \['rain100l:Rain100L'\] instead of \['rain100l:other'\]"):
        at_home.require_same(record | {"train": ["rain100l:/home/me/other"]})
    facts = {"psnr_db": 30.0, "recipe": older}
    assert "/home" not in str(shareable_facts(facts)) and shareable_facts(facts)["psnr_db"] == 30.0
    of_others = ({"train": 3, "init": 4}, {"train": "Rain100L"}, {"train": [{"name": "a"}]}, {"init": ["a"]})
    for other in ({}, {"recipe": "l1"}, *({"recipe": each} for each in of_others)):
        assert shareable_facts(other) == other
