"""The workflows of GitHub Actions: they parse, pin their actions and hold no secret."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
CI = ROOT / ".github" / "workflows" / "ci.yml"

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def load(path: Path) -> dict[Any, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def commands(path: Path) -> str:
    return "\n".join(step["run"] for step in steps(path) if "run" in step)


@each_workflow
def test_a_workflow_has_what_github_requires(path: Path) -> None:
    workflow = load(path)
    assert isinstance(workflow["name"], str)
    assert workflow[True]  # YAML 1.1 reads the key "on" as a truth value
    for job in workflow["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"] and job["steps"]
        assert set(job.get("needs", "").split()) <= set(workflow["jobs"])
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


@each_workflow
def test_each_action_is_pinned_to_a_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used and all(re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+\.\d+\.\d+", action) for action in used)


@each_workflow
def test_a_workflow_needs_no_secret_and_may_only_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text and "password" not in text
    assert load(path)["permissions"] == {"contents": "read"}
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each_workflow
def test_no_command_contains_what_somebody_else_can_write(path: Path) -> None:
    """An expression in a command is pasted into the shell: a title or a branch would be run."""
    assert "${{" not in commands(path)


def test_only_the_job_that_publishes_may_prove_who_it_is() -> None:
    jobs = load(RELEASE)["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi" and jobs["publish"]["needs"] == "build"
    assert "permissions" not in jobs["build"]
    # Nothing of the repository runs where the identity is.
    assert [step["uses"].split("@")[0] for step in jobs["publish"]["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


def test_a_release_builds_checks_lists_and_tries_the_packages() -> None:
    run = commands(RELEASE)
    order = ["release_addresses.py", "-m build", "twine check --strict", "cyclonedx_py", "granet-run --input"]
    places = [run.index(each) for each in order]
    assert places == sorted(places)
    assert all("==" in word for word in re.findall(r"-m pip install (\S+)", run))
    kept = {step["with"]["path"] for step in steps(RELEASE) if "upload-artifact" in step.get("uses", "")}
    assert kept == {"dist/", "sbom.cdx.json"}  # the publishing job takes all of dist/


def test_what_a_workflow_runs_is_in_the_repository() -> None:
    for script in re.findall(
        r"(?:^|python )((?:\.ci|docs)/[\w.]+)", commands(RELEASE) + "\n" + commands(CI), re.M
    ):
        assert (ROOT / script).is_file(), script
    assert commands(CI) == ".ci/run"


def test_ci_runs_every_python_that_is_claimed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert load(CI)["jobs"]["test"]["strategy"]["matrix"]["python"] == claimed
