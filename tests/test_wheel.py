"""The wheel holds every package and data file and nothing else; the sdist holds what a clone holds."""

import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from itertools import product
from pathlib import Path

import pytest

import granet
from runtime.models.packaged import PRESETS

ROOT = Path(__file__).parent.parent
PACKAGES = ["calibration", "export", "granet", "runtime"]
FOLDERS = [*PACKAGES, ".ci", ".github", "benchmarks", "deploy", "docs", "docker", "tests"]
FILES = [
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "constraints.txt"),
    *("MANIFEST.in", "Makefile", "compose.yaml", "mkdocs.yml"),
    *(".gitignore", ".dockerignore", ".pre-commit-config.yaml"),
]
HOME = "https://example.org/someone/granet-deploy"
GENERATED = re.compile(r"PKG-INFO|setup\.cfg|granet_deploy\.egg-info/.+")
BUILD = "from setuptools.build_meta import build_{0} as build; build('dist')"


@pytest.fixture(scope="module")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as a release builds it; a build writes beside its sources."""
    tree = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    script = ROOT / "docs" / "release_addresses.py"
    subprocess.run([sys.executable, script, HOME, "v0.1.0", tree], check=True)
    return tree


def built(kind: str, tree: Path) -> Path:
    """The ``wheel`` or ``sdist`` that the back end builds of a tree, without a network."""
    build = [sys.executable, "-c", BUILD.format(kind)]
    result = subprocess.run(build, cwd=tree, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (path,) = (tree / "dist").glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


@pytest.fixture(scope="module")
def sdist(source_tree: Path) -> Path:
    return built("sdist", source_tree)


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in the sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Path:
    """The wheel of the sdist, which is the one that a release has."""
    return built("wheel", unpacked)


@pytest.fixture(scope="module")
def installed(wheel: Path) -> set[str]:
    """The files that the wheel installs, as posix paths; its metadata are left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def files_below(root: Path, *folders: str) -> set[str]:
    """The files in folders of ``root``, as posix paths, without compiled ones."""
    files = (file for folder in folders for file in (root / folder).rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix() for file in files if file.suffix != ".pyc"}


def test_every_file_of_the_packages_and_no_other_is_installed(installed: set[str]) -> None:
    assert installed == files_below(ROOT, *PACKAGES)


def test_the_sdist_holds_what_a_clone_holds(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    held = {name for name in found if not GENERATED.fullmatch(name)}
    assert held == files_below(ROOT, *FOLDERS) | set(FILES)


def test_no_file_of_the_repository_is_forgotten() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is not a clone")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    tops = {name.partition("/")[0] for name in listed if name and (ROOT / name).exists()}
    assert tops - {"runs"} == {*FOLDERS, *FILES}


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_read_the_annotations_of_each_package(package: str, installed: set[str]) -> None:
    assert f"{package}/py.typed" in installed  # PEP 561


def test_the_page_and_the_weights_are_installed(installed: set[str]) -> None:
    assert "page.html" in {Path(name).name for name in installed}
    for name, suffix in product(PRESETS, (".safetensors", ".onnx", ".onnx.json", ".int8.onnx", ".md")):
        assert f"runtime/models/{name}{suffix}" in installed


def test_the_licence_is_in_the_wheel(wheel: Path, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_version_is_that_of_the_package(wheel: Path) -> None:
    assert wheel.name == f"granet_deploy-{granet.__version__}-py3-none-any.whl"


def test_an_index_shows_the_pictures_and_follows_the_links_of_the_readme(metadata: Message) -> None:
    page = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)#][^)]*)\)", page)
    assert all(target.startswith("https://") for target in targets)
    assert f"![Rain on the left, the result on the right]({HOME}/raw/v0.1.0/docs/" in page
    for kind, path in re.findall(rf"\({HOME}/(raw|blob)/v0\.1\.0/([^)#]+)", page):
        assert (ROOT / path).is_file(), path
        assert (kind == "raw") == (Path(path).suffix in (".png", ".jpg")), path


def test_a_release_names_its_home(metadata: Message) -> None:
    addresses = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert addresses["Source"] == HOME and {"Changelog", "Documentation", "Issues"} < set(addresses)


@pytest.mark.parametrize("url", ["someone/granet-deploy", "http://example.org/x", 'https://a"b'])
def test_a_home_that_is_not_an_https_address_changes_nothing(url: str, tmp_path: Path) -> None:
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    script = [sys.executable, ROOT / "docs" / "release_addresses.py", url, "v1", tmp_path]
    result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == 1 and "give the https address of the repository" in result.stderr
    assert (tmp_path / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
    assert (tmp_path / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()
