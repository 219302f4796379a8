"""Commands as programs: standard streams that are closed, full or unread, and limits on memory."""

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from granet.app import credentials
from granet.app.program import mask_unhandled
from tests.patience import PATIENCE
from tests.unread import full_pipe, read_all

ROOT = Path(__file__).parents[3]

APP = """
import os, sys, time, typer
from pathlib import Path
from granet.app.console import DebugOption, say
from granet.app.program import run_program
from granet.app.results import print_line
import granet.app.program as program

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

@app.command()
def command(what: str, count: int = 1, debug: DebugOption = False) -> None:
    if what == "say":
        for number in range(count):
            say(f"message {number}")
    elif what == "print":
        for number in range(count):
            print_line(f"result {number}")
    elif what == "file":  # the number of its descriptor, and stdin, stdout and stderr
        with Path("file").open("w") as file:
            Path("number").write_text(str(file.fileno()))
            os.write(1, b"library"); os.write(2, b"library")
    elif what == "memory":
        bytearray(1 << 62)
    elif what == "torch":
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried")
    elif what == "thread":
        raise ImportError("it does not load") from RuntimeError("can't start new thread")
    elif what == "long":
        time.sleep(float(count))

if "long" in sys.argv:
    program.BETWEEN_LINES = 0.2
run_program(app)
"""


def start(line: str, cwd: Path, shell: str = "", **streams: int) -> subprocess.Popen[bytes]:
    (cwd / "app.py").write_text(APP)
    return subprocess.Popen(
        ["bash", "-c", f"exec {sys.executable} app.py {line} {shell}"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


def ran(line: str, cwd: Path, shell: str = "") -> tuple[int, str, str]:
    """Status, stdout and stderr."""
    process = start(line, cwd, shell)
    try:
        out, error = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out.decode(), error.decode()


def test_nothing_is_lost_where_both_are_read(tmp_path: Path) -> None:
    status, out, error = ran("say --count 200", tmp_path)
    assert (status, out) == (0, "")
    assert error.splitlines() == [f"message {number}" for number in range(200)]
    status, out, error = ran("print --count 9000", tmp_path)
    assert (status, error) == (0, "")
    assert out.splitlines() == [f"result {number}" for number in range(9000)]


@pytest.mark.parametrize("line", ["print", "print --count 9000", "--help"])
@pytest.mark.parametrize(
    ("shell", "reason"),
    [(">&-", "is closed"), (">/dev/full", "cannot be written: No space left on device")],
)
def test_a_result_that_cannot_be_printed_is_one_line(
    line: str, shell: str, reason: str, tmp_path: Path
) -> None:
    status, _, error = ran(line, tmp_path, shell)
    assert status == 1
    assert error.startswith(f"error: stdout: {reason}") and error.count("\n") == 1


def test_a_command_without_a_result_needs_no_stdout(tmp_path: Path) -> None:
    assert ran("say", tmp_path, ">&-") == (0, "", "message 0\n")


def test_closed_streams_are_not_taken_by_a_file(tmp_path: Path) -> None:
    """Otherwise what a library writes to stderr would be written into a recording."""
    assert ran("file", tmp_path, "<&- >&- 2>&-") == (0, "", "")
    assert int((tmp_path / "number").read_text()) > 2
    assert (tmp_path / "file").read_text() == ""


def test_a_status_survives_a_closed_stderr(tmp_path: Path) -> None:
    assert ran("print", tmp_path, "2>&-") == (0, "result 0\n", "")
    assert ran("memory", tmp_path, "2>&-") == (1, "", "")


def test_a_reader_of_results_that_goes_away_ends_the_command_quietly(tmp_path: Path) -> None:
    read, write = os.pipe()
    process = start("print --count 100000", tmp_path, stdout=write)
    os.close(write)
    assert os.read(read, 1)
    os.close(read)
    _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (141, b"")


def test_results_wait_for_a_slow_reader_of_a_pipe_that_does_not_block(tmp_path: Path) -> None:
    with full_pipe() as (read, write):
        os.set_blocking(write, False)  # as a parent that is a server does
        process = start("print --count 20000", tmp_path, stdout=write)
        os.close(write)
        lines = read_all(read).decode().splitlines()
    _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (0, b"")
    assert lines[-20000:] == [f"result {number}" for number in range(20000)]


def test_a_full_pipe_on_stderr_ends_nothing_and_the_last_messages_arrive(tmp_path: Path) -> None:
    with full_pipe() as (read, write):
        process = start("say --count 1000", tmp_path, stderr=write)
        os.close(write)
        try:
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.communicate()
        assert b"message" not in os.read(read, 1 << 20)


def test_stderr_of_the_parent_still_blocks(tmp_path: Path) -> None:
    """A descriptor is shared with the shell and with other programs."""
    read, write = os.pipe()
    process = start("say", tmp_path, stderr=write)
    process.communicate(timeout=PATIENCE)
    assert os.get_blocking(write)
    os.close(write)
    assert read_all(read) == b"message 0\n"
    os.close(read)


@pytest.mark.parametrize(
    ("what", "reason"),
    [("memory", "not enough memory"), ("torch", "not enough memory"), ("thread", "no further thread")],
)
def test_too_little_memory_is_one_line_and_no_internal_error(what: str, reason: str, tmp_path: Path) -> None:
    status, out, error = ran(what, tmp_path)
    assert (status, out) == (1, "")
    assert error.startswith(f"error: {reason}") and error.count("\n") == 1


def test_a_long_command_without_progress_of_its_own_says_that_it_goes_on(tmp_path: Path) -> None:
    process = start("long --count 600", tmp_path)
    assert process.stderr is not None
    try:
        assert process.stderr.readline().startswith(b"still working after ")
        assert process.stderr.readline().startswith(b"still working after ")
    finally:
        process.kill()
        process.communicate()


class Clumsy:
    def __del__(self) -> None:
        raise ValueError("in a destructor: s3cretVALUE")


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (threading, "excepthook"),
        (sys, "unraisablehook"),
        (sys, "excepthook"),
        (warnings, "showwarning"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(credentials, "_values", {})
    credentials.conceal("s3cretVALUE")


@pytest.mark.parametrize("debug", [False, True])
def test_an_error_that_nobody_handles_is_masked(debug: bool, capfd: pytest.CaptureFixture[str]) -> None:
    mask_unhandled(debug=debug)

    def fail() -> None:
        raise ValueError("in a thread: s3cretVALUE, http://me:pass@cam/a")

    thread = threading.Thread(target=fail, name="reader")
    thread.start()
    thread.join()
    del (clumsy := [Clumsy()])[:]
    assert not clumsy
    try:
        raise ValueError("anywhere: s3cretVALUE")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    warnings.showwarning("a warning: s3cretVALUE", UserWarning, "a.py", 3)
    err = capfd.readouterr().err
    assert "s3cretVALUE" not in err and "pass@" not in err
    assert "internal error in thread reader: ValueError: in a thread: ***, http://***@cam/a" in err
    assert "in a destructor: ***" in err and "internal error: ValueError: anywhere: ***" in err
    assert "warning: a warning: *** (UserWarning, a.py:3)" in err
    assert ("Traceback" in err) == debug
