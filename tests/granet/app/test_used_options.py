"""Options that a run would not use: rules over an options object and what the user really gave."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from granet.app.console import UsageError, run_app
from granet.app.used_options import Rule, StrictCommand, check_used, given_options


@dataclass(frozen=True)
class Options:
    depth: int = 0
    flat: bool = False


RULES: tuple[Rule[Options], ...] = (
    Rule(("--flat", "--debug"), lambda options: "with --flat" if options.flat else None, "why", all_but=True),
    Rule(("--width",), lambda options: None if options.depth else "without --depth", "give a depth"),
)


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (Options(), (), None),
        (Options(), ("--width",), "--width without --depth: give a depth"),
        (Options(depth=3), ("--width", "--depth"), None),
        (Options(flat=True), ("--flat", "--debug"), None),
        (Options(flat=True), ("--flat", "--height"), "--height with --flat: why"),
        (Options(flat=True), ("--width", "--flat"), "--width with --flat: why"),
    ],
)
def test_the_first_rule_in_conflict_is_reported(
    options: Options, given: tuple[str, ...], message: str | None
) -> None:
    if message is None:
        check_used(RULES, options, given)
        return
    with pytest.raises(UsageError) as error:
        check_used(RULES, options, given)
    assert str(error.value) == message


@pytest.fixture
def call() -> tuple[typer.Typer, list[list[str]]]:
    app, seen = typer.Typer(add_completion=False, rich_markup_mode=None), list[list[str]]()

    @app.command(cls=StrictCommand)
    def command(
        context: typer.Context,
        width: Annotated[int, typer.Option("-w", "--width")] = 3,
        name: Annotated[list[str] | None, typer.Option("--name")] = None,
        flat: Annotated[bool, typer.Option("--flat")] = False,
    ) -> None:
        seen.append(given_options(context))

    return app, seen


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("", []),
        ("--width 3", ["--width"]),  # its default, but given
        ("-w 4 --flat", ["--width", "--flat"]),
        ("--flat --name a --name b --flat", ["--name", "--flat"]),
    ],
)
def test_only_options_that_the_user_gave_count(
    call: tuple[typer.Typer, list[list[str]]], line: str, given: list[str]
) -> None:
    app, seen = call
    assert run_app(app, line.split()) == 0
    assert seen == [given]


def test_an_option_given_twice_is_refused(
    call: tuple[typer.Typer, list[list[str]]], capfd: pytest.CaptureFixture[str]
) -> None:
    app, seen = call
    assert run_app(app, ["--width", "3", "-w", "4"]) == 2
    assert capfd.readouterr().err == "error: --width is given 2 times: give it once\n"
    assert seen == []
