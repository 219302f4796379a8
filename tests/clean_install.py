"""A package installed from its wheel, as a user has it: outside the repository, in a clean environment."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.documents import ROOT
from tests.patience import PATIENCE

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "granet", "export", "runtime", "calibration")
"""What a build of the package reads."""

# Looked up when the tests are collected: later the cache of this user is hidden from them.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pip"
_MAKER = "import sysconfig, sys; print(sysconfig.get_path('purelib'))"


def copy_sources(folder: Path) -> Path:
    """Copies what a build reads: it leaves files beside its sources."""
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def environment_of_user(**settings: str) -> dict[str, str]:
    """The variables of a user of pip: tested versions, his cache, and nothing of this repository."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    pip = {
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(_CACHE)),
        "PIP_NO_COMPILE": "1",
    }
    return {**kept, **pip, **settings}


def has_packages(folder: Path) -> bool:
    """Whether pip can fetch packages: not without a network."""
    probe = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "shellingham"]
    return (
        subprocess.run(probe, env=environment_of_user(), capture_output=True, timeout=PATIENCE).returncode
        == 0
    )


def lend(python: Path, folder: Path, *packages: str) -> None:
    """Shows an environment some packages of this one, for those that are large and slow to install.

    Args:
        python: the interpreter of the environment.
        folder: a new folder, for links to the packages.
        packages: names of distributions; one that is not installed here is left to pip.
    """
    folder.mkdir()
    for package in packages:
        try:
            found = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        for top in {
            file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")
        }:
            (folder / top).symlink_to(Path(str(found.locate_file(top))))
    asked = subprocess.run([python, "-c", _MAKER], capture_output=True, text=True, check=True)
    (Path(asked.stdout.strip()) / "lent.pth").write_text(f"{folder}\n", encoding="utf-8")
