"""Issue forms that GitHub accepts, which ask for commands that exist.

GitHub shows a form with an error to nobody, so the rules are those of its "Syntax for GitHub's form schema"
and "Common validation errors when creating issue forms".
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
TEXTS = [*FORMS, GITHUB / "pull_request_template.md"]

TOP_LEVEL = {"name", "description", "body", "title", "labels", "assignees", "projects", "type"}
REQUIRED_ATTRIBUTES = {
    "markdown": {"value"},
    "input": {"label"},
    "textarea": {"label"},
    "dropdown": {"label", "options"},
    "checkboxes": {"label", "options"},
}
ALLOWED_ATTRIBUTES = {
    "markdown": {"value"},
    "input": {"label", "description", "placeholder", "value"},
    "textarea": {"label", "description", "placeholder", "value", "render"},
    "dropdown": {"label", "description", "multiple", "options", "default"},
    "checkboxes": {"label", "description", "options"},
}

each_form = pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(form, dict)
    return form


def fields_of(path: Path) -> Iterator[dict[str, Any]]:
    """The elements of a form that a user fills in."""
    return (element for element in load(path)["body"] if element["type"] != "markdown")


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def test_there_is_a_form_for_each_kind_of_issue() -> None:
    assert {path.stem for path in FORMS} == {
        "bug_report",
        "wrong_picture",
        "field_report",
        "feature_request",
    }
    names = [load(path)["name"] for path in FORMS]
    assert len(set(names)) == len(names)


@each_form
def test_the_keys_that_github_requires_are_there(path: Path) -> None:
    form = load(path)
    assert set(form) <= TOP_LEVEL
    assert is_text(form["name"]) and is_text(form["description"])
    assert isinstance(form["body"], list)
    assert any(fields_of(path))
    assert all(is_text(label) for label in form["labels"])


@each_form
def test_each_element_has_what_its_type_requires(path: Path) -> None:
    for element in load(path)["body"]:
        assert set(element) <= {"type", "id", "attributes", "validations"}
        attributes = element["attributes"]
        assert REQUIRED_ATTRIBUTES[element["type"]] <= set(attributes) <= ALLOWED_ATTRIBUTES[element["type"]]
        assert all(
            is_text(value) for name, value in attributes.items() if name not in ("options", "multiple")
        )
        assert all(isinstance(value, bool) for value in element.get("validations", {}).values())


@each_form
def test_fields_have_distinct_names(path: Path) -> None:
    identifiers = [field["id"] for field in fields_of(path)]
    labels = [field["attributes"]["label"].lower() for field in fields_of(path)]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", identifier) for identifier in identifiers)
    assert len(set(identifiers)) == len(identifiers)
    assert len(set(labels)) == len(labels)


@each_form
def test_choices_are_different_texts(path: Path) -> None:
    for field in fields_of(path):
        options = field["attributes"].get("options", [])
        if field["type"] == "checkboxes":
            options = [option["label"] for option in options]
        assert all(is_text(option) and option.lower() != "none" for option in options)
        assert len(set(options)) == len(options)


def test_every_issue_goes_through_a_form() -> None:
    assert load(GITHUB / "ISSUE_TEMPLATE" / "config.yml") == {"blank_issues_enabled": False}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_pages_that_are_named_exist(path: Path) -> None:
    for page in re.findall(r"[\w/]+\.md", path.read_text(encoding="utf-8")):
        assert (ROOT / page).is_file(), page


def commands() -> list[str]:
    """The commands of this project that the forms ask for, each once."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in TEXTS)
    return sorted(set(re.findall(r"`(granet-[^`]+ [^`]+)`", text)))


@pytest.mark.parametrize("command", commands())
def test_the_commands_that_are_named_exist(command: str) -> None:
    program, *words = command.split()
    options = [word for word in words if word.startswith("--")]
    subcommand = words[:1] if program == "granet-export" else []
    script = Path(sys.executable).parent / program
    help_text = subprocess.run(
        [script, *subcommand, "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert help_text.returncode == 0, help_text.stderr
    assert all(option in help_text.stdout for option in options)
