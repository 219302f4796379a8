"""Silent channels: found, given new weights, without a change of the results."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from granet import GraNet, GraNetConfig, save_checkpoint
from granet.app.console import run_app
from granet.checkpoint import load_checkpoint
from granet.training.cli import app
from granet.training.revive import revive
from tests.granet.rain_sets import clean_directory

CONFIG = GraNetConfig(
    channels=8, growth=8, dense_layers=2, fine_blocks=2, nonlocal_channels=4, fold=2, region_extent=64
)


def pictures() -> list[Tensor]:
    random = torch.Generator().manual_seed(7)
    return [torch.rand(1, 3, 64, 96, generator=random) for _ in range(3)]


def silence(layer: nn.Conv2d, channels: list[int]) -> None:
    """Makes channels negative before their ReLU, whatever they see."""
    assert layer.bias is not None
    layer.weight.data[channels] = -layer.weight.data[channels].abs()
    layer.bias.data[channels] = -0.5


def network(config: GraNetConfig = CONFIG) -> GraNet:
    torch.manual_seed(3)
    return GraNet(config).eval().requires_grad_(False)


def relu_layers(of: GraNet) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, module in of.named_modules():
        if isinstance(module, nn.Conv2d) and (name.endswith(".head") or ".layers." in name):
            yield name, module


def silent(of: GraNet) -> dict[str, list[int]]:
    """The channels that are 0 on all pictures, by a measurement of its own."""
    found: dict[str, Tensor] = {}

    def watch(name: str) -> object:
        def hook(_: nn.Module, __: object, result: Tensor) -> None:
            most = torch.relu(result).amax(dim=(0, 2, 3))
            found[name] = torch.maximum(found.get(name, most), most)

        return hook

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in relu_layers(of)]  # type: ignore[arg-type]
    for picture in pictures():
        of(picture)
    for hook in hooks:
        hook.remove()
    return {name: torch.nonzero(most == 0).flatten().tolist() for name, most in found.items()}


def some_silent(config: GraNetConfig = CONFIG) -> GraNet:
    some = network(config)
    silence(some.coarse.head, [0, 3, 5])
    silence(some.coarse.local[1].layers[0], list(range(8)))  # type: ignore[arg-type,index,union-attr]
    assert some.fine is not None
    silence(some.fine.head, [7])
    if config.context:
        silence(some.fine.blocks[0].layers[1], [1, 2])  # type: ignore[arg-type,index,union-attr]
    return some


@pytest.mark.parametrize("context", [True, False])
def test_silent_channels_speak_again_and_the_results_stay(context: bool) -> None:
    config = GraNetConfig(**{**vars(CONFIG), "context": context})
    some = some_silent(config)
    before, quiet = [some(picture) for picture in pictures()], silent(some)
    count = sum(map(len, quiet.values()))
    assert count >= (14 if context else 12)
    assert revive(some, pictures(), seed=1) == (
        count,
        sum(layer.out_channels for _, layer in relu_layers(some)),
    )
    for expected, picture in zip(before, pictures(), strict=True):
        torch.testing.assert_close(some(picture), expected, rtol=0, atol=1e-5)
    assert not any(silent(some).values())


def test_the_new_channels_learn() -> None:
    some = some_silent()
    quiet = silent(some)
    revive(some, pictures(), seed=1)
    some.requires_grad_(True)
    optimiser = torch.optim.SGD(some.parameters(), lr=1e-3)
    for _ in range(2):  # at first only what reads the channels gets a gradient
        optimiser.zero_grad()
        (some(pictures()[0]) - 0.5).square().mean().backward()
        optimiser.step()
    for name, layer in relu_layers(some):
        for channel in quiet[name]:
            assert layer.weight.grad is not None and layer.weight.grad[channel].any(), (name, channel)


def test_a_network_without_silent_channels_stays_as_it_is() -> None:
    some = some_silent()
    revive(some, pictures(), seed=1)
    before = {name: value.clone() for name, value in some.state_dict().items()}
    assert revive(some, pictures(), seed=2)[0] == 0
    for name, value in some.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_granet_train_revives_the_checkpoint_that_it_starts_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("granet.training.files.draw_training", lambda lines, path: None)
    start = network()
    silence(start.coarse.head, [0, 3, 5])
    save_checkpoint(tmp_path / "start.pt", start)
    clean = f"synthetic:{clean_directory(tmp_path / 'clean')}?split=all"
    limits = "--epochs 1 --epoch-size 2 --lr 1e-9 --device cpu"
    run = f"--train {clean} --val {clean} --out {tmp_path / 'run'} {limits}"
    command = [*run.split(), "--init", str(tmp_path / "start.pt"), "--revive"]
    assert run_app(app, command) == 0
    assert "channels were silent and have new weights" in capsys.readouterr().err
    trained = load_checkpoint(tmp_path / "run/last.pt")
    for channel in (0, 3, 5):
        kernels = trained.coarse.head.weight[channel]
        torch.testing.assert_close(kernels.sum(dim=(1, 2)), torch.zeros(len(kernels)), rtol=0, atol=1e-5)
        assert not torch.allclose(kernels, start.coarse.head.weight[channel], atol=1e-4)
    # A training that goes on keeps its weights.
    assert run_app(app, [*command, "--resume"]) == 0
    assert "silent" not in capsys.readouterr().err


def test_it_is_not_ignored_in_a_training_that_began_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("granet.training.files.draw_training", lambda lines, path: None)
    save_checkpoint(tmp_path / "start.pt", network())
    clean = f"synthetic:{clean_directory(tmp_path / 'clean')}?split=all"
    run = f"--train {clean} --val {clean} --out {tmp_path / 'run'} --epoch-size 1 --device cpu --epochs"
    assert run_app(app, [*run.split(), "1", "--init", str(tmp_path / "start.pt")]) == 0
    for option in ("--revive", "--renew-coarse"):
        capsys.readouterr()
        assert run_app(app, [*run.split(), "2", "--resume", option]) == 1
        assert f"{option[2:].replace('-', '_')} is True instead of False" in capsys.readouterr().err
    # Its network is that of its own weights, which no option names.
    assert run_app(app, [*run.split(), "2", "--resume"]) == 0, capsys.readouterr().err


def test_a_training_with_it_in_its_recipe_goes_on_without_init(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("granet.training.files.draw_training", lambda lines, path: None)
    save_checkpoint(tmp_path / "start.pt", network(GraNetConfig.lite()))
    clean = f"synthetic:{clean_directory(tmp_path / 'clean')}?split=all"
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f'preset = "lite"\nrevive = true\ntrain = ["{clean}"]\nval = ["{clean}"]\nepochs = 1\n'
        f'epoch-size = 1\ndevice = "cpu"\nout = "{tmp_path / "run"}"\n'
    )
    assert run_app(app, ["--recipe", str(recipe)]) == 2
    assert "--revive without --init" in capsys.readouterr().err
    assert run_app(app, ["--recipe", str(recipe), "--init", str(tmp_path / "start.pt")]) == 0
    assert run_app(app, ["--recipe", str(recipe), "--resume"]) == 0, capsys.readouterr().err
