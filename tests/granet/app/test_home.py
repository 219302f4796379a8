"""A process without HOME whose user has no name, as in a container that runs as a bare user number."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from granet.app.home import ensure_home
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
# The user database knows nobody.
UNKNOWN = (
    "import pwd\ndef fail(uid): raise KeyError(f'getpwuid(): uid not found: {uid}')\npwd.getpwuid = fail\n"
)


def run_unknown(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", UNKNOWN + code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)


def test_without_help_there_is_no_home() -> None:
    done = run_unknown("from pathlib import Path\nPath.home()")
    assert "RuntimeError" in done.stderr


def test_home_and_name_exist_after_a_command_has_started() -> None:
    code = (
        "import getpass, sys, typer\nfrom pathlib import Path\nfrom granet.app.console import run_app\n"
        "app = typer.Typer()\n"
        "@app.command()\ndef show() -> None:\n    print(Path.home(), getpass.getuser())\n"
        "sys.exit(run_app(app, []))"
    )
    done = run_unknown(code)
    assert done.returncode == 0 and done.stdout.startswith(f"{os.devnull} uid"), done.stderr


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_library_call_opens_an_engine(engines_onnx: Path, backend: str) -> None:
    code = (
        "import sys\nfrom runtime import open_engine\nopen_engine(sys.argv[1], backend=sys.argv[2]).close()"
    )
    done = run_unknown(code, str(engines_onnx), backend)
    assert done.returncode == 0, done.stderr


def test_a_plot_and_a_compiler_work_too(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom granet.app.home import ensure_home\nensure_home()\n"
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig(sys.argv[1])\n"
        "from torch._inductor.runtime.cache_dir_utils import default_cache_dir\nprint(default_cache_dir())"
    )
    done = run_unknown(code, str(tmp_path / "plot.png"))
    assert done.returncode == 0 and (tmp_path / "plot.png").exists(), done.stderr


def test_what_exists_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "somebody")
    ensure_home()
    assert (os.environ["HOME"], os.environ["LOGNAME"]) == (str(tmp_path), "somebody")
