import sys
from pathlib import Path

import pytest
import typer

from granet.app import console
from granet.app.console import DebugOption, Notes, UsageError, run_app
from granet.errors import ParityError, UserError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
ERRORS = {
    "user": UserError("no such\nfile  [bold]x[/bold] " + "long " * 60),
    "usage": UsageError("not together"),
    "parity": ParityError("missed"),
    "fault": ValueError("oops"),
    "interrupt": KeyboardInterrupt(),
    "secret": UserError("rtsp://me:secret@host/1: gone"),
    "pipe": BrokenPipeError(),
}


@app.command()
def command(what: str, number: int = 0, debug: DebugOption = False) -> int:
    if what in ERRORS:
        raise ERRORS[what]
    if what == "exit":
        raise typer.Exit(5)
    return number


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["fine"], 0, ""),
        (["fine", "--number", "7"], 7, ""),
        (["exit"], 5, ""),
        (["user"], 1, "error: no such file [bold]x[/bold] long long"),
        (["usage"], 2, "error: not together"),
        (["parity"], 3, "error: missed"),
        (["fault"], 1, "internal error: ValueError: oops; run again with --debug for the traceback"),
        (["interrupt"], 130, "interrupted"),
        (["secret"], 1, "error: rtsp://***@host/1: gone"),
        (["fine", "--numbr", "7"], 2, "error: No such option: --numbr"),
        (["fine", "--number", "x"], 2, "error: --number: give a whole number"),
        ([], 2, "error: Missing argument"),
        (["fine", "more"], 2, "error: Got unexpected extra argument"),
    ],
)
def test_every_end_has_its_status_and_at_most_one_line(
    arguments: list[str], status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == (1 if line else 0)
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("what", ["user", "fault", "secret"])
def test_debug_adds_the_traceback_and_no_credentials(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, [what, "--debug"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error and ":secret@" not in error


def test_a_reader_that_goes_away_ends_the_command_quietly(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert run_app(app, ["pipe"]) == console.BROKEN_PIPE
    assert capfd.readouterr().err == ""


def test_help_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["--help"]) == 0
    captured = capsys.readouterr()
    assert "--debug" in captured.out and captured.err == ""


def test_a_note_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    notes = Notes()
    for _ in range(3):
        notes("16 bits")
    assert capsys.readouterr().err == "note: 16 bits\n"
