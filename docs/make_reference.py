"""Writes the pages of docs/reference: ``python docs/make_reference.py``.

commands.md comes from the help of every command, python.md from the docstrings of the public names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

# A script finds the other scripts of its folder.
from python_reference import python_reference

import export.cli
import granet.training.cli
import runtime.cli
import runtime.evaluation.cli
from runtime.archive.cli import COMMANDS, app_of

FOLDER = Path(__file__).parent / "reference"
WIDTH = 100
HEAD = """# Commands

The help of every command, made by `python docs/make_reference.py`. Change the help, not this page.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """(name, command) of every command, subcommands after their group."""
    apps = {
        "granet-run": runtime.cli.app,
        "granet-export": export.cli.app,
        "granet-eval": runtime.evaluation.cli.app,
        "granet-train": granet.training.cli.app,
        **{f"granet-archive {word}".strip(): app_of(word) for word in COMMANDS},
    }
    for name, app in apps.items():
        command: Any = typer.main.get_command(app)
        yield name, command
        yield from ((f"{name} {part}", each) for part, each in getattr(command, "commands", {}).items())


def reference() -> str:
    """The page."""
    parts = [HEAD]
    for name, command in commands():
        context = command.context_class(
            command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH
        )
        lines = (line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {name}\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """The pages by their file names."""
    return {"commands.md": reference(), "python.md": python_reference()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
