"""The wheel holds every package and data file of the source tree, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import granet

ROOT = Path(__file__).parent.parent
PACKAGES = ["calibration", "export", "granet", "runtime"]


@pytest.fixture(scope="module")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project: a build writes beside its sources and reads what older builds left there."""
    tree = tmp_path_factory.mktemp("source")
    for folder in [*PACKAGES, "tests", "benchmarks"]:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def wheel(source_tree: Path) -> Path:
    """The wheel that pip builds, without a network."""
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    result = subprocess.run(
        [*build, "--quiet", "--wheel-dir", "wheels", "."], cwd=source_tree, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    (path,) = (source_tree / "wheels").iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path) -> set[str]:
    """The files that the wheel installs, as posix paths; its metadata are left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_every_file_of_the_packages_and_no_other_is_installed(installed: set[str]) -> None:
    files = (file for folder in PACKAGES for file in (ROOT / folder).rglob("*") if file.is_file())
    assert installed == {file.relative_to(ROOT).as_posix() for file in files if file.suffix != ".pyc"}


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_read_the_annotations_of_each_package(package: str, installed: set[str]) -> None:
    assert f"{package}/py.typed" in installed  # PEP 561


def test_the_page_and_the_weights_are_installed(installed: set[str]) -> None:
    assert "page.html" in {Path(name).name for name in installed}
    for suffix in (".safetensors", ".onnx", ".onnx.json", ".int8.onnx", ".md"):
        assert f"runtime/models/lite{suffix}" in installed


def test_the_version_is_that_of_the_package(wheel: Path) -> None:
    assert wheel.name == f"granet_deploy-{granet.__version__}-py3-none-any.whl"
