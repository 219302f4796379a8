"""A commit of code runs ``make lint`` first, and a commit that lint refuses is not made."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / ".pre-commit-config.yaml"

LINT_THAT_REFUSES = "lint:\n\t@echo an error on line 1; exit 1\n"
LINT_THAT_ACCEPTS = "lint:\n\t@true\n"


class Repository:
    """A git repository with the project's hooks and a Makefile of its own."""

    def __init__(self, path: Path, makefile: str) -> None:
        self.path = path
        # A hook that runs these tests sets GIT_DIR and the like, which would lead git elsewhere.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.environment = {
            **inherited,
            "PRE_COMMIT_HOME": str(path.parent / "cache"),
            "HOME": str(path.parent),
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        path.mkdir()
        shutil.copy(CONFIG, path)
        (path / "Makefile").write_text(makefile)
        assert self.run("git", "init", "--quiet").returncode == 0
        assert self.commit().returncode == 0  # before the hooks are there
        assert self.run(sys.executable, "-m", "pre_commit", "install").returncode == 0

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True)

    def commit(self) -> "subprocess.CompletedProcess[str]":
        assert self.run("git", "add", "--all").returncode == 0
        return self.run("git", "commit", "--message", "A change")

    def commit_file(self, name: str) -> "subprocess.CompletedProcess[str]":
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text("x = 1\n")
        return self.commit()


@pytest.fixture(autouse=True)
def needs_git_and_make() -> None:
    for program in ("git", "make"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def test_pre_commit_accepts_the_configuration() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(CONFIG)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["granet/model.py", "pyproject.toml", "constraints.txt"])
def test_what_lint_refuses_is_not_committed(name: str, tmp_path: Path) -> None:
    result = Repository(tmp_path / "repository", LINT_THAT_REFUSES).commit_file(name)
    assert result.returncode != 0
    assert "an error on line 1" in result.stderr


def test_what_lint_accepts_is_committed(tmp_path: Path) -> None:
    result = Repository(tmp_path / "repository", LINT_THAT_ACCEPTS).commit_file("granet/model.py")
    assert result.returncode == 0, result.stderr


def test_a_page_of_documentation_is_committed_without_lint(tmp_path: Path) -> None:
    result = Repository(tmp_path / "repository", LINT_THAT_REFUSES).commit_file("docs/page.md")
    assert result.returncode == 0, result.stderr


def test_hooks_need_no_network_and_pin_no_second_version() -> None:
    for repository in yaml.safe_load(CONFIG.read_text())["repos"]:
        assert repository["repo"] == "local" and "rev" not in repository
        for hook in repository["hooks"]:
            assert hook["language"] == "system" and "additional_dependencies" not in hook
            target = hook["entry"].removeprefix("make ")
            asked = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
            assert asked.returncode == 0, asked.stderr
