"""Commands whose libraries do not fit into memory, or cannot be loaded."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from granet.app.start import load, start

ENTRIES = [
    "runtime.cli",
    "runtime.evaluation.cli",
    "runtime.archive.cli",
    "export.cli",
]


@pytest.mark.parametrize("name", ENTRIES)
def test_too_little_memory_for_the_libraries_is_one_line(name: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (250 << 20, 250 << 20))

    code = f"from granet.app.start import start; start({name!r})"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, preexec_fn=limit, check=False
    )
    line = "error: not enough memory to load the libraries: raise the limit on memory (ulimit -v)\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", line)


def test_a_library_that_crashes_in_a_limited_process_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)); "
    code += f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    code += "from granet.app.start import start; start('crashing')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stderr.startswith("error: not enough memory")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            "raise ImportError('libx.so: failed to map segment from shared object')",
            "error: not enough memory: ",
        ),
        ("raise ImportError('libx.so.1: cannot open\\nmore')", "cannot be loaded: libx.so.1: cannot open\n"),
        ("raise OSError", "error: a library cannot be loaded: OSError\n"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_one_line(
    body: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as caught:
        load("broken", lacking=None)
    err = capsys.readouterr().err
    assert caught.value.code == 1 and line in err and err.count("\n") == 1


def test_a_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole.py").write_text("done = []\ndef main(): done.append(1)")
    monkeypatch.syspath_prepend(tmp_path)
    start("whole")
    assert sys.modules["whole"].done == [1]


@pytest.mark.parametrize("ignored", [False, True])
def test_an_interrupt_while_libraries_are_loaded_ends_the_command_without_a_traceback(
    tmp_path: Path, ignored: bool
) -> None:
    """A command in the background of a script ignores it, and goes on to do so."""
    (tmp_path / "slow.py").write_text(
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)\ndef main(): print('ran')\n"
    )
    handler = "SIG_IGN" if ignored else "default_int_handler"
    code = f"import signal, sys; sys.path.insert(0, {str(tmp_path)!r}); "
    code += f"signal.signal(signal.SIGINT, signal.{handler}); "
    code += "from granet.app.start import start; start('slow')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expected = (0, "ran\n", "") if ignored else (-signal.SIGINT, "", "")
    assert (ended.returncode, ended.stdout, ended.stderr) == expected


def test_a_command_that_runs_handles_an_interrupt_itself(tmp_path: Path) -> None:
    (tmp_path / "quick.py").write_text(
        "import os, signal\n"
        "def main():\n"
        "    try: os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt: print('handled')\n"
    )
    # A process of its own: the handler must be that of a terminal, whatever started the tests.
    code = f"import signal, sys; sys.path.insert(0, {str(tmp_path)!r}); "
    code += "signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from granet.app.start import start; start('quick')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "handled\n", "")
