"""A package that is missing is named with the command that installs it."""

import tomllib
from pathlib import Path

import pytest

from granet.app.extras import EXPORT, missing_packages, pip_install, require, require_export_extra
from granet.errors import UserError

PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    monkeypatch.setattr("granet.app.extras.find_spec", lambda name: None if name in modules else object())


def test_what_is_installed_is_no_error() -> None:
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
    assert {requirement.partition(">=")[0] for requirement in declared} == set(EXPORT)
    without(monkeypatch, *EXPORT)
    with pytest.raises(UserError, match=f"making a model needs .*: pip install {' '.join(EXPORT)}$"):
        require_export_extra()


@pytest.mark.parametrize("package", ["onnxruntime", "tensorrt", "cuda-bindings", "torch"])
def test_no_command_asks_an_index_for_this_project(package: str) -> None:
    """It is not on PyPI."""
    assert pip_install(package).startswith(f"pip install {package}")
    assert "granet-deploy" not in pip_install(package)
