"""No command takes a number that is not finite: nan passes every comparison with a limit."""

from pathlib import Path
from typing import Any

import pytest
import typer

import export.cli
import granet.synthetic.contact_sheet
import granet.training.cli
import runtime.cli
import runtime.demo_clip
import runtime.evaluation.cli
from granet.app.console import run_app

APPS = [
    export.cli.app,
    granet.synthetic.contact_sheet.app,
    granet.training.cli.app,
    runtime.cli.app,
    runtime.demo_clip.app,
    runtime.evaluation.cli.app,
]


def _required(parameter: Any) -> list[str]:
    """A value that the command accepts, after its option."""
    option = parameter.opts[0]
    value = "drawn:1" if option in ("--train", "--val") else "x.onnx"
    return [option, value] if parameter.param_type_name == "option" else [value]


def float_options() -> list[tuple[typer.Typer, list[str], str]]:
    """Every option with a fractional value, of all commands."""
    found = []
    for app in APPS:
        group = typer.main.get_command(app)
        commands = getattr(group, "commands", {})
        for name, command in commands.items() if commands else [("", group)]:
            required = [word for each in command.params if each.required for word in _required(each)]
            for parameter in command.params:
                # Typer's own parameters from 0.16 on, those of the click package before.
                described = getattr(parameter, "type_descriptor", None)
                kind = parameter.type.name if described is None else str(described.annotation)
                if "float" in kind:
                    found.append((app, [*([name] if name else []), *required], max(parameter.opts, key=len)))
    return found


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_every_number_is_finite(
    value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = float_options()
    assert {"--give-up-after", "--lr", "--bandwidth", "--seconds"} <= {option for _, _, option in found}
    for app, command, option in found:
        assert run_app(app, [*command, f"{option}={value}"]) == 2, option
        err = capsys.readouterr().err
        assert err.startswith("error: ") and option in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
