"""A package that is missing is named with the command that installs it."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from granet.app.extras import EXPORT, missing_packages, require, require_export_extra
from granet.errors import UserError

PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    monkeypatch.setattr("granet.app.extras.find_spec", lambda name: None if name in modules else object())


def test_an_installed_package_is_not_an_error() -> None:
    require("testing", "numpy", "msgspec")


@pytest.mark.parametrize(
    ("modules", "packages", "message"),
    [
        (("onnx",), ("onnx", "torch"), "onnx, which is not installed: pip install onnx"),
        (
            ("onnx", "torch"),
            ("onnx", "torch"),
            "onnx and torch, which are not installed: pip install onnx torch",
        ),
        # The name of the module and that of the package differ.
        (
            ("prometheus_client",),
            ("prometheus-client",),
            "prometheus-client, which is not installed: pip install prometheus-client",
        ),
    ],
)
def test_the_line_names_what_is_missing_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, modules: tuple[str, ...], packages: tuple[str, ...], message: str
) -> None:
    without(monkeypatch, *modules)
    with pytest.raises(UserError) as caught:
        require("testing", *packages)
    assert str(caught.value) == f"testing needs {message}"


def test_an_import_that_failed_gets_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "onnx")
    with pytest.raises(UserError) as caught:
        require("testing", "onnx")
    assert str(missing_packages("testing", "onnx")) == str(caught.value)


def test_making_a_model_needs_what_the_project_declares_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]["export"]
    # Only plots need matplotlib, and they ask for it themselves.
    assert {requirement.partition(">=")[0] for requirement in declared} == {*EXPORT, "matplotlib"}
    without(monkeypatch, *EXPORT)
    with pytest.raises(UserError, match=f"making a model needs .*: pip install {' '.join(EXPORT)}$"):
        require_export_extra()


TEXTS = ("*.md", "docs/**/*.md", ".github/**/*", "docker/**/*", "*.yaml", "*.toml", "Makefile")
SOURCES = ("granet/**/*.py", "runtime/**/*.py", "export/**/*.py", "calibration/**/*.py")


def test_nothing_installs_this_project_from_an_index() -> None:
    """It is not on one yet: a message or a page that says so sends its reader to a stranger's package."""
    asked = re.compile(r"install [^.`\n]*\bgranet[-_]deploy\b(?!-\S+\.whl)")
    root = PROJECT.parent
    files = [path for pattern in (*TEXTS, *SOURCES) for path in root.glob(pattern) if path.is_file()]
    assert len(files) > 200
    assert [path for path in files if asked.search(path.read_text(encoding="utf-8"))] == []


def test_no_message_names_a_page_of_the_repository() -> None:
    """A wheel holds none of them; docstrings are for readers of the source."""
    pages = {path.name for path in (PROJECT.parent / "docs").rglob("*.md")} | {"README.md", "CHANGELOG.md"}
    named = re.compile("|".join(rf"(?<![\w-]){re.escape(page)}" for page in pages))
    found = [
        f"{path}: {text}"
        for pattern in SOURCES
        for path in PROJECT.parent.glob(pattern)
        if ".md" in (source := path.read_text(encoding="utf-8"))
        for text in texts(source)
        if named.search(text)
    ]
    assert found == []


def texts(source: str) -> list[str]:
    """The string constants of a module that are not statements, as docstrings are."""
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone)
    return [node.value for node in constants if isinstance(node.value, str)]
