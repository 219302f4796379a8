"""``-v`` and ``-q``: what each command tells on stderr; stdout and errors stay."""

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import export.cli
import granet.training.cli
import runtime.cli
import runtime.evaluation.cli
import runtime.run.model as run_model
from granet.app.command import Options, add_command
from granet.app.console import Notes, Urgent, detail, run_app, say
from granet.app.progress import log_progress, terminal_progress
from granet.app.results import print_line
from granet.errors import UserError
from tests.media import make_clip
from tests.runtime.fakes import FakeEngine

Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; gives its status, stdout and the lines on stderr."""

    def call(app: typer.Typer, *arguments: str) -> tuple[int, str, list[str]]:
        status = run_app(app, [*arguments])
        captured = capfd.readouterr()
        return status, captured.out, captured.err.splitlines()

    return call


def work(options: Options) -> None:
    """Work."""
    say("working")
    Notes()("a note")
    detail("a detail")
    say(Urgent("an alarm"))
    with terminal_progress("work", first=0) as progress:
        progress(1, 2, "")
    with log_progress("more", first=0) as progress:
        progress(1, 2, "")
    print_line("result")
    raise UserError("failed")


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    add_command(made, Options, work)
    return made


def test_quiet_prints_results_and_errors(app: typer.Typer, run: Run) -> None:
    assert run(app, "-q") == (1, "result\n", ["an alarm", "error: failed"])


def test_verbose_adds_details_versions_and_the_time(app: typer.Typer, run: Run) -> None:
    usual, more = run(app), run(app, "--verbose")
    assert (usual[:2], more[:2]) == ((1, "result\n"), (1, "result\n"))
    assert usual[2] == ["working", "note: a note", "an alarm", "work, 1/2", "more, 1/2", "error: failed"]
    assert more[2][0].startswith("granet-deploy ") and "numpy " in more[2][0]
    assert "a detail" in more[2] and more[2][-2].startswith("took ")
    assert [line for line in more[2] if line in usual[2][:3]] == usual[2][:3]
    assert run(app)[2] == usual[2]  # a run leaves nothing behind for the next one


def test_verbose_and_quiet_contradict(app: typer.Typer, run: Run) -> None:
    status, out, lines = run(app, "-q", "-v")
    assert (status, out, len(lines)) == (2, "", 1)
    assert "--verbose" in lines[0] and "--quiet" in lines[0]


@pytest.mark.parametrize(
    "app",
    [runtime.cli.app, export.cli.app, granet.training.cli.app, runtime.evaluation.cli.app],
    ids=["run", "export", "train", "eval"],
)
def test_every_command_has_both_options(app: typer.Typer) -> None:
    command = typer.main.get_command(app)
    for each in getattr(command, "commands", {"": command}).values():
        options = {name for parameter in each.params for name in parameter.opts}
        assert {"-v", "--verbose", "-q", "--quiet"} <= options, each.name


def test_a_video_run_tells_codecs_and_encoder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_model, "open_engine", lambda *arguments, **named: FakeEngine())
    path = make_clip(tmp_path / "in.mp4", count=3, sound="aac")
    line = ["-i", str(path), "-o", str(tmp_path / "out.mp4"), "--model", "fake.onnx", "--overwrite"]
    assert run(runtime.cli.app, *line, "-q") == (0, "", [])
    told = "\n".join(run(runtime.cli.app, *line, "-v")[2])
    assert "h264; file; time base 1/30000" in told and "sound: aac" in told
    assert "libx264 (crf=17 preset=veryfast" in told and ") of yuv420p in mp4" in told
