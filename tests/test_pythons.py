"""The newest installed Python among those that the package claims: the package installs and runs there."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.media import write_picture
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = ("pyproject.toml", "README.md", "LICENSE", "granet", "export", "runtime", "calibration")
STREAMS = '[[stream]]\nname = "street"\ninput = "in"\noutput = "out"\n'


def claimed() -> list[tuple[int, int]]:
    """The versions of the classifiers, oldest first."""
    found = (re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", c) for c in PROJECT["classifiers"])
    return sorted((3, int(match[1])) for match in found if match)


def everywhere() -> dict[str, str]:
    """The environment, with the interpreters that pyenv keeps but does not offer on the search path."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = [str(path) for path in sorted(root.glob("versions/*/bin"))]
    return {**os.environ, "PATH": os.pathsep.join([*kept, os.environ["PATH"]])}


def newest_python(uv: str) -> Path:
    """The newest claimed interpreter that uv finds; skips if it is this one."""
    command = [uv, "python", "list", "--only-installed", "--output-format", "json"]
    listed = subprocess.run(command, env=everywhere(), capture_output=True, text=True, check=True)
    found = {
        (entry["version_parts"]["major"], entry["version_parts"]["minor"]): Path(entry["path"])
        for entry in reversed(json.loads(listed.stdout))
        if entry["implementation"] == "cpython"
    }
    newest = max(set(found) & set(claimed()), default=sys.version_info[:2])
    if newest <= sys.version_info[:2]:
        pytest.skip(f"of the Pythons that are claimed, uv finds none newer than {sys.version.split()[0]}")
    return found[newest]


def test_the_oldest_python_that_is_claimed_is_the_oldest_that_may_install_it() -> None:
    assert PROJECT["requires-python"] == ">=" + ".".join(str(part) for part in claimed()[0])


def test_every_pinned_version_installs_on_the_oldest_python_that_is_claimed() -> None:
    # Its first release: Debian 12 stays with 3.11.2, and packages have asked for 3.11.5.
    oldest = ".".join(str(part) for part in (*claimed()[0], 0))
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    names = {canonicalize_name(match) for match in re.findall(r"^([\w.-]+)==", pinned, re.MULTILINE)}
    asks = {
        canonicalize_name(distribution.name): distribution.metadata.get("Requires-Python", "")
        for distribution in distributions()
    }
    known = names & set(asks)
    assert "pymdown-extensions" in known
    assert [name for name in sorted(known) if oldest not in SpecifierSet(asks[name])] == []


def test_the_newest_python_that_is_claimed_runs_a_configuration(tmp_path: Path) -> None:
    # Beside this interpreter, where `make setup` puts it, or anywhere.
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        pytest.skip("uv is not at hand")
    python = newest_python(uv)
    # A build leaves files beside what it builds.
    source, environment = tmp_path / "source", tmp_path / "environment"
    source.mkdir()
    for name in PACKAGE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    subprocess.run([uv, "venv", "--quiet", "--python", str(python), str(environment)], check=True)
    installed = subprocess.run(
        [uv, "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), f"{source}[cpu]"],
        env={**os.environ, "VIRTUAL_ENV": str(environment)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if "error sending request" in installed.stderr:
        pytest.skip("its packages cannot be had without a network")
    assert installed.returncode == 0, installed.stderr
    write_picture(tmp_path / "in" / "a.png", np.full((48, 64, 3), 90, np.uint8))
    (tmp_path / "streams.toml").write_text(STREAMS)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(environment / "bin" / "granet-run"), "--config", "streams.toml"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "a.png").is_file()
