"""Recipes: files of options that the command line overrules."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from granet import GraNetConfig
from granet.app.console import run_app
from granet.training.cli import app
from granet.training.options import TrainOptions
from granet.training.recipe_file import packaged_recipes, read_recipe

BASIC = 'train = ["drawn:2"]\nval = ["drawn:1"]\n'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainOptions]:
    """What the command line makes of its options, instead of a training."""
    taken: list[TrainOptions] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("granet.training.run.run_training", taken.append)
    return taken


def options(asked: list[TrainOptions], text: str, *more: str) -> TrainOptions:
    Path("r.toml").write_text(text)
    assert run_app(app, ["--recipe", "r.toml", *more]) == 0
    return asked.pop()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = run_app(app, list(arguments))
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return status, err


@pytest.mark.parametrize("name", packaged_recipes())
def test_a_packaged_recipe_trains_the_preset_of_its_name(name: str, asked: list[TrainOptions]) -> None:
    assert run_app(app, ["--recipe", name, "--data", "data"]) == 0
    recipe = asked[0].recipe()
    assert GraNetConfig.from_dict(recipe.config) == GraNetConfig.preset(name)
    assert asked[0].out == Path("runs") / name
    assert recipe.weights is not None and sum(recipe.weights) == pytest.approx(1)
    specs = [asked[0].with_data(spec) for spec in (*recipe.train, *recipe.val)]
    assert not any("{data}" in spec or "rain100l" in spec.lower() for spec in specs)
    assert all("{data}" in spec for spec in recipe.train)  # what is recorded names no machine's folder


def test_the_base_recipe_is_there() -> None:
    assert "base" in packaged_recipes()


def test_every_value_of_a_file_arrives(asked: list[TrainOptions]) -> None:
    text = BASIC + (
        'preset = "lite"\nset = ["fine_stage=false"]\nseed = 7\ncrop = "24,32"\nbatch = 2\nepoch-size = 8\n'
        'epochs = 4\nlr = 1e-3\ncosine = true\nstable = 0.5\nema = 0.9\nclip-gradient = 0.3\nloss = "ssim"\n'
        'dry = 0.1\nprecision = "fp32"\nchannels-last = false\nthreads = 1\nworkers = 0\nout = "here"\n'
    )
    found = options(asked, text)
    assert (found.train, found.val, found.preset) == (("drawn:2",), ("drawn:1",), "lite")
    assert found.settings == ("fine_stage=false",)
    assert (found.seed, found.crop, found.batch, found.epoch_size, found.epochs) == (7, (24, 32), 2, 8, 4)
    assert (found.lr, found.cosine, found.stable, found.ema) == (1e-3, True, 0.5, 0.9)
    assert (found.clip_gradient, found.loss, found.dry) == (0.3, "ssim", 0.1)
    assert (found.precision, found.channels_last, found.threads, found.workers) == ("fp32", False, 1, 0)
    assert found.directory == Path("here")


def test_the_command_line_wins(asked: list[TrainOptions]) -> None:
    text = BASIC + "epochs = 4\nlr = 1e-3\n"
    found = options(asked, text, "--epochs", "9", "--train", "drawn:5")
    assert (found.epochs, found.lr, found.train) == (9, 1e-3, ("drawn:5",))


def test_values_may_be_lists_or_not(asked: list[TrainOptions]) -> None:
    found = options(asked, 'train = "drawn:2"\nval = "drawn:1"\ncrop = [24, 32]\nepochs = 2\n')
    assert (found.train, found.val, found.crop) == (("drawn:2",), ("drawn:1",), (24, 32))
    assert options(asked, BASIC + "crop = 24\n").crop == (24,)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (BASIC + "epoch = 3\n", 1, "unknown option 'epoch'; the options are batch, "),
        (BASIC + 'recipe = "base"\n', 1, "unknown option 'recipe'"),
        (BASIC + "[network]\nwidth = 3\n", 1, "unknown option 'network'"),
        ("train = [", 1, "r.toml: not valid TOML"),
        ("\x00", 1, "r.toml: not valid TOML"),
        (BASIC + "epochs = true\n", 1, "r.toml: epochs: expected a number, a string or a list, not true"),
        (BASIC + "cosine = 1\n", 1, "r.toml: cosine: expected true or false, not 1"),
        (BASIC + 'epochs = "soon"\n', 2, "Invalid value for '--epochs'"),
        (BASIC + "epochs = 0\n", 2, "Invalid value for '--epochs'"),
        (BASIC + "epochs = [1, 2]\n", 2, "Invalid value for '--epochs'"),
        (BASIC + "cosine = true\n", 2, "--cosine needs to know when the training ends"),
        ('train = ["drawn:2"]\n', 2, "--val"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    text: str,
    status: int,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(text)
    found, err = refused(capsys, "--recipe", "r.toml")
    assert reason in err and found == status


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content)
        assert "not valid TOML" in refused(capsys, "--recipe", str(path))[1]
    else:
        path.mkdir()
        assert "cannot be read: Is a directory" in refused(capsys, "--recipe", str(path))[1]
    status, err = refused(capsys, "--recipe", "bass")
    assert status == 1 and "--recipe bass: no such file; the packaged recipes are base" in err


def test_data_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, err = refused(capsys, "--recipe", "base")
    assert status == 2 and err.startswith("error: synthetic:{data}/clean-bsd")
    assert "give the directory of the data with --data" in err
    status, err = refused(capsys, "--recipe", "base", "--data", str(tmp_path / "none"))
    assert status == 1 and f"{tmp_path / 'none'}/clean-bsd" in err


def test_a_file_is_read_as_toml_says(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("lr = 1e-3\n")
    expected: dict[str, Any] = tomllib.loads(path.read_text())
    assert read_recipe(str(path), ["lr"]) == expected == {"lr": 0.001}
