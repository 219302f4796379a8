"""Recipe files: options of a training that the command line overrides."""

from pathlib import Path

import pytest

from granet import GraNetConfig
from granet.app.console import run_app
from granet.training.cli import app
from granet.training.make_recipe import make_recipe
from granet.training.options import TrainOptions
from granet.training.recipe_file import packaged_recipes

BASIC = 'train = ["drawn:2"]\nval = ["drawn:1"]\n'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainOptions]:
    """Collects the options instead of training."""
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
    recipe = make_recipe(asked[0])
    assert GraNetConfig.from_dict(recipe.config) == GraNetConfig.preset(name)
    assert asked[0].out == Path("runs") / name
    assert recipe.weights is not None and sum(recipe.weights) == pytest.approx(1)
    specs = [asked[0].with_data(spec) for spec in (*recipe.train, *recipe.val)]
    assert not any("{data}" in spec or "rain100l" in spec.lower() for spec in specs)
    assert all("{data}" in spec for spec in recipe.train)  # what is recorded names no machine's folder


def test_the_base_recipe_is_packaged() -> None:
    assert "base" in packaged_recipes()


def test_every_value_of_a_file_is_used(asked: list[TrainOptions]) -> None:
    text = BASIC + (
        'preset = "lite"\nset = ["fine_stage=false"]\nseed = 7\ncrop = "24,32"\nbatch = 2\nepoch-size = 8\n'
        'epochs = 4\nlr = 1e-3\ncosine = true\nstable = 0.5\nema = 0.9\nclip-gradient = 0.3\nloss = "ssim"\n'
        'dry = 0.1\nprecision = "fp32"\nchannels-last = false\nthreads = 1\nworkers = 0\nout = "here"\n'
    )
    found = options(asked, text)
    assert (found.train, found.val, found.preset) == (["drawn:2"], ["drawn:1"], "lite")
    assert found.settings == ["fine_stage=false"]
    assert (found.seed, found.crop_sizes, found.batch, found.epoch_size, found.epochs) == (
        7,
        (24, 32),
        2,
        8,
        4,
    )
    assert (found.lr, found.cosine, found.stable, found.ema) == (1e-3, True, 0.5, 0.9)
    assert (found.clip_gradient, found.loss, found.dry) == (0.3, "ssim", 0.1)
    assert (found.precision, found.channels_last, found.threads, found.workers) == ("fp32", False, 1, 0)
    assert found.directory == Path("here")


def test_the_command_line_wins(asked: list[TrainOptions]) -> None:
    text = BASIC + "epochs = 4\nlr = 1e-3\n"
    found = options(asked, text, "--epochs", "9", "--train", "drawn:5")
    assert (found.epochs, found.lr, found.train) == (9, 1e-3, ["drawn:5"])


def test_values_may_be_lists_or_not(asked: list[TrainOptions]) -> None:
    found = options(asked, 'train = "drawn:2"\nval = "drawn:1"\ncrop = [24, 32]\nepochs = 2\n')
    assert (found.train, found.val, found.crop_sizes) == (["drawn:2"], ["drawn:1"], (24, 32))
    assert options(asked, BASIC + "crop = 24\n").crop_sizes == (24,)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (BASIC + "epoch = 3\n", 1, "r.toml: unknown setting epoch (the settings are train, val, "),
        (BASIC + 'recipe = "base"\n', 1, "unknown setting recipe"),
        (BASIC + "[network]\nwidth = 3\n", 1, "unknown setting network"),
        ("train = [", 1, "r.toml: is not valid TOML"),
        ("\x00", 1, "r.toml: is not valid TOML"),
        (BASIC + "epochs = true\n", 1, "r.toml: epochs: expected an integer, got a boolean"),
        (BASIC + "cosine = 1\n", 1, "r.toml: cosine: expected true or false, got an integer"),
        (BASIC + 'epochs = "soon"\n', 1, "r.toml: epochs: expected an integer, got a string"),
        (BASIC + "epochs = 0\n", 1, "r.toml: epochs: expected an integer of at least 1"),
        (BASIC + "epochs = [1, 2]\n", 1, "r.toml: epochs: expected an integer, got a list"),
        (BASIC + "dry = 1.5\n", 1, "r.toml: dry: expected a number"),
        (BASIC + 'preset = "big"\n', 1, "r.toml: preset: expected base, lite or paper, got 'big'"),
        (BASIC + "train = [1]\n", 1, "r.toml: is not valid TOML"),  # a key appears twice
        ("train = [1]\n", 1, "r.toml: train 1: expected a string, got an integer"),
        (BASIC + "crop = true\n", 1, "r.toml: crop: expected"),
        (BASIC + "cosine = true\n", 2, "--cosine without --epochs or --minutes"),
        (BASIC + "epochs = 2\nminutes = 2\n", 2, "--minutes with --epochs"),
        (BASIC + "long-side = 64\ncrop = 32\n", 2, "--long-side with --crop"),
        (BASIC + 'set = ["channels=8", "channels=4"]\n', 2, "--set channels=... is given 2 times"),
        ('train = ["drawn:2"]\n', 2, "--val"),
    ],
)
def test_a_wrong_file_is_one_line(
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
        assert "is not valid TOML: not UTF-8" in refused(capsys, "--recipe", str(path))[1]
    else:
        path.mkdir()
        assert "is a directory, not a file" in refused(capsys, "--recipe", str(path))[1]
    status, err = refused(capsys, "--recipe", "bass")
    assert status == 2 and "--recipe bass: no such file; the packaged recipes are base" in err


def test_missing_data_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, err = refused(capsys, "--recipe", "base")
    assert status == 2 and err.startswith("error: synthetic:{data}/clean-bsd")
    assert "give the directory of the data with --data" in err
    status, err = refused(capsys, "--recipe", "base", "--data", str(tmp_path / "none"))
    assert status == 1 and f"{tmp_path / 'none'}/clean-bsd" in err


def test_an_option_that_a_file_switches_off_conflicts_with_none(asked: list[TrainOptions]) -> None:
    text = BASIC + "cosine = false\noverwrite = false\nresume = true\n"
    found = options(asked, text, "--patience", "2")
    assert (found.cosine, found.resume, found.patience) == (False, True, 2)


def test_an_option_of_the_command_line_conflicts_with_one_of_a_file(
    asked: list[TrainOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("r.toml").write_text(BASIC + "crop = 32\nepochs = 2\n")
    for more, conflict in (
        ("--minutes 3", "--minutes with --epochs"),
        ("--long-side 64", "--long-side with"),
    ):
        status, err = refused(capsys, "--recipe", "r.toml", *more.split())
        assert status == 2 and conflict in err
    assert asked == []


@pytest.mark.parametrize("text", ["lr = nan", "lr = inf", "hours = -inf"])
def test_a_number_of_a_recipe_is_finite(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(text.replace("hours", "minutes"))
    assert refused(capsys, "--recipe", "r.toml", "--out", "x")[0] != 0


@pytest.mark.parametrize(
    "text",
    ["lr." + ".".join(["a"] * 5000) + " = 1", "train = " + "[" * 300 + "]" * 300, "lr = " + "9" * 5000],
)
def test_a_recipe_that_cannot_be_used_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.toml").write_text(text)
    assert "is not valid TOML" in refused(capsys, "--recipe", str(tmp_path / "r.toml"))[1]
