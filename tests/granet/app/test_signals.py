"""Every command cleans up after a signal, then dies of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from granet.app.program import end_process
from granet.app.signals import signal_of
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]

_COMMAND = """
import signal, sys, time
from pathlib import Path
import typer
from granet.app.console import Interrupted
from granet.app.program import run_program
from granet.app.signals import on_interrupt
from runtime.sinks.part_file import PartFile

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

@app.command()
def work(kind: str) -> None:
    part = PartFile(Path("report.json"))
    try:
        if kind == "finishes":
            stopped = []
            with on_interrupt(lambda: stopped.append(1)) as interruption:
                print("ready", flush=True)
                while not stopped:
                    time.sleep(0.01)
            raise Interrupted(interruption.number)
        print("ready", flush=True)
        time.sleep(60)
    finally:
        part.discard()

run_program(app)
"""


@pytest.mark.parametrize("kind", ["works", "finishes"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_cleans_up_and_dies_of_the_signal(
    tmp_path: Path, kind: str, number: signal.Signals
) -> None:
    """Also the commands that write only at the end: SIGTERM left their unfinished files."""
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, kind],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    assert [path.name for path in tmp_path.iterdir()] == ["report.part.json"]
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -number
    assert err == ("interrupted\n" if kind == "works" else "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (130, signal.SIGINT),
        (143, signal.SIGTERM),
        (129, signal.SIGHUP),
        (-15, signal.SIGTERM),
        (0, None),
        (1, None),
        (3, None),
        (141, None),
        (137, None),
        (-9, None),
    ],
)
def test_only_an_interruption_is_a_signal(status: int, number: int | None) -> None:
    assert signal_of(status) == number


def test_the_first_process_of_a_container_ends_with_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ignores the signal that such a process sends to itself."""
    before, sent = signal.getsignal(signal.SIGTERM), []
    monkeypatch.setattr(signal, "raise_signal", sent.append)
    try:
        with pytest.raises(SystemExit) as caught:
            end_process(143)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert sent == [signal.SIGTERM] and caught.value.code == 143
