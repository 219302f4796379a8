"""A command from a dataclass: its options, the ones that the user gave, and those that it refuses."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer

from granet.app.command import Options, add_command
from granet.app.console import UsageError, run_app


@dataclass(frozen=True, kw_only=True)
class Shared(Options):
    flat: Annotated[bool, typer.Option("--flat")] = False


@dataclass(frozen=True, kw_only=True)
class PaintOptions(Shared):
    width: Annotated[int, typer.Option("-w", "--width", help="Paint N pixels.")] = 3
    name: Annotated[list[str], typer.Option("--name")] = field(default_factory=list)


def read_file(context: typer.Context, wanted: bool) -> bool:
    context.default_map = {"width": 3, "name": ["a"], "flat": False, "matt": True}
    return wanted


@dataclass(frozen=True, kw_only=True)
class FileOptions(PaintOptions):
    from_file: Annotated[bool, typer.Option("--from-file", is_eager=True, callback=read_file)] = False
    matt: Annotated[bool, typer.Option("--matt")] = False


@dataclass(frozen=True, kw_only=True)
class ShowOptions(Options):
    file: Annotated[str, typer.Argument()]


@pytest.fixture
def seen() -> list[PaintOptions]:
    return []


@pytest.fixture
def app(seen: list[PaintOptions]) -> typer.Typer:
    made = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

    def paint(options: PaintOptions) -> None:
        """Paint a wall."""
        seen.append(options)

    def show(options: ShowOptions) -> None:
        """Show a file."""

    add_command(made, PaintOptions, paint)
    add_command(made, ShowOptions, show)
    return made


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("", ()),
        ("--width 3", ("--width",)),  # its default, but given
        ("--flat -w 4", ("--width", "--flat")),
        ("--flat --name a --name b --flat", ("--name", "--flat")),
    ],
)
def test_only_options_that_the_user_gave_count(
    app: typer.Typer, seen: list[PaintOptions], line: str, given: tuple[str, ...]
) -> None:
    assert run_app(app, ["paint", *line.split()]) == 0
    assert [options.given for options in seen] == [given]


def test_options_from_a_file_count_unless_it_switches_them_off() -> None:
    seen: list[FileOptions] = []
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

    def paint(options: FileOptions) -> None:
        """Paint a wall."""
        seen.append(options)

    add_command(app, FileOptions, paint)
    assert run_app(app, ["--from-file", "--width", "9"]) == 0
    assert {*seen[0].given} == {"--from-file", "--width", "--name", "--matt"} and seen[0].width == 9


def test_values_reach_the_fields(app: typer.Typer, seen: list[PaintOptions]) -> None:
    assert run_app(app, ["paint", "--width", "7", "--name", "a", "--name", "b"]) == 0
    assert (seen[0].width, list(seen[0].name), seen[0].flat) == (7, ["a", "b"], False)


def test_the_help_is_that_of_the_function_and_the_fields(
    app: typer.Typer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, ["paint", "--help"]) == 0
    page = " ".join(capfd.readouterr().out.split())
    assert "Paint a wall." in page and "Paint N pixels. [default: 3]" in page
    assert page.index("--width") < page.index("--flat") < page.index("--debug")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("paint --width 3 -w 4", "--width is given 2 times: give it once"),
        ("paint wall.png", "unexpected argument wall.png: did you mean --width wall.png?"),
        ("show a.png b.png", "unexpected argument b.png: --help lists the arguments"),
        ("paint --name=", "--name is empty: give a value, or leave it out"),
        ("paint --name a --name=", "--name is empty: give a value, or leave it out"),
        ("show ''", "file is empty: give a value, or leave it out"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(
    app: typer.Typer, seen: list[PaintOptions], line: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, shlex.split(line)) == 2
    assert capfd.readouterr().err == f"error: {message}\n"
    assert seen == []


@pytest.mark.parametrize(("typed", "suggested"), [("--widht", True), ("--crf", False)])
def test_only_a_close_option_is_suggested(
    app: typer.Typer, typed: str, suggested: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, ["paint", typed, "3"]) == 2
    err = capfd.readouterr().err
    assert typed in err and ("--width" in err) == suggested


GIVEN = Options(given=("--width", "--flat", "--height"))


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        (lambda: GIVEN.refuse("--depth", conflict="with --flat", why="why"), None),
        (lambda: GIVEN.refuse("--width", conflict=None, why="why"), None),
        (
            lambda: GIVEN.refuse("--height", "--width", conflict="with --b", why="why"),
            "--width with --b: why",
        ),
        (
            lambda: GIVEN.refuse_all_but("--width", conflict="with --width", why="why"),
            "--flat with --width: why",
        ),
        (lambda: GIVEN.refuse_all_but("--width", conflict=None, why="why"), None),
        (lambda: GIVEN.at_most_one("--flat", "--depth", why="why"), None),
        (
            lambda: GIVEN.at_most_one("--depth", "--flat", "--height", why="why"),
            "--height with --flat: why; give one of them",
        ),
    ],
)
def test_a_conflict_names_both_sides(refuse: Callable[[], None], message: str | None) -> None:
    if message is None:
        refuse()
        return
    with pytest.raises(UsageError) as error:
        refuse()
    assert str(error.value) == message
