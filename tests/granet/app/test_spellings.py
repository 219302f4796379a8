"""Every command accepts --version, a value without its option, and American spelling."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import typer

from granet import __version__
from granet.app.command import Options, add_command, american
from granet.app.console import run_app


@dataclass(frozen=True, kw_only=True)
class PaintOptions(Options):
    positional: ClassVar[str] = "--wall"

    wall: Annotated[str, typer.Option("--wall", "-w")]
    colour: Annotated[str, typer.Option("--colour")] = "red"
    output: Annotated[str, typer.Option("--output", "-o")] = ""


@pytest.fixture
def seen() -> list[PaintOptions]:
    return []


@pytest.fixture
def app(seen: list[PaintOptions]) -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    add_command(made, PaintOptions, seen.append)
    return made


@pytest.mark.parametrize("line", ["a", "-w a", "--wall a"])
@pytest.mark.parametrize("colour", ["--colour blue", "--color blue", "--color=blue"])
def test_a_value_may_stand_alone_and_american_spelling_is_understood(
    app: typer.Typer, seen: list[PaintOptions], line: str, colour: str
) -> None:
    assert run_app(app, [*line.split(), *colour.split()]) == 0
    assert (seen[0].wall, seen[0].colour, seen[0].given) == ("a", "blue", ("--wall", "--colour"))


def test_the_same_word_twice_is_one_value_for_each(app: typer.Typer, seen: list[PaintOptions]) -> None:
    assert run_app(app, ["-o", "a", "a"]) == run_app(app, ["a", "-o", "a"]) == 0
    assert [(each.wall, each.output) for each in seen] == [("a", "a")] * 2


def test_a_value_beside_its_option_is_refused(app: typer.Typer, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["a", "--wall", "b"]) == 2
    assert "unexpected argument a: did you mean --output a?" in capfd.readouterr().err
    assert run_app(app, ["a", "b"]) == 2
    assert "unexpected argument" in capfd.readouterr().err


def test_spellings() -> None:
    words = ("--synthesise", "--optimisation-level", "--colour", "--size")
    assert [american(word) for word in words] == [
        "--synthesize", "--optimization-level", "--color", "--size",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "module",
    ["runtime.cli", "export.cli", "runtime.evaluation.cli", "granet.training.cli", "runtime.archive.cli"],
)
def test_every_command_has_a_version(module: str, tmp_path: Path) -> None:
    code = f"from {module} import main; main()"
    made = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=False
    )
    assert (made.returncode, made.stdout.strip()) == (0, f"granet-deploy {__version__}")


@pytest.mark.parametrize("module", ["export.cli", "runtime.archive.cli"])
def test_the_completion_script_is_printed_with_status_0(module: str) -> None:
    made = subprocess.run(
        [sys.executable, "-c", f"from {module} import main; main()", "--show-completion", "bash"],
        # Otherwise typer asks which shell started it, and a runner of tests may have none.
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0 and "complete" in made.stdout
