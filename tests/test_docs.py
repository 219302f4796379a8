"""The pages of docs/: their blocks run, the options that they use exist, and their links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from export.cli import app as export_app
from granet.app.console import run_app
from granet.training.cli import app as train_app
from runtime.archive.cli import COMMANDS as ARCHIVE_COMMANDS
from runtime.archive.cli import app_of as archive_app_of
from runtime.cli import app as run_app_of_runtime
from runtime.demo_clip import app as demo_clip
from runtime.evaluation.cli import app as eval_app
from tests.documents import (
    MODEL_CARDS,
    PAGES,
    README,
    ROOT,
    Block,
    blocks,
    command_lines,
    fresh_checkout,
    missing_builder,
    run,
)

DOCUMENTS = [README, *PAGES, *MODEL_CARDS]
ELSEWHERE = "getting-started.md"
"""Its commands run outside the checkout: tests/test_getting_started.py."""
RUNNABLE = [
    block
    for page in PAGES
    for block in blocks(page)
    if page.name != ELSEWHERE and block.language in ("bash", "python")
]
LANGUAGES = {"bash", "python", "toml", "ini", "yaml", "text"}
COMMANDS = [(page, line) for page in DOCUMENTS for line in command_lines(page)]
APPS = {
    "granet-run": run_app_of_runtime,
    "granet-export": export_app,
    "granet-train": train_app,
    "granet-eval": eval_app,
    "granet-archive": archive_app_of(""),
}


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """A fresh checkout for each page, with a shorter clip in place of the one of `make demo`."""
    clip = tmp_path_factory.mktemp("demo") / "rain.mp4"
    assert run_app(demo_clip, [str(clip), "--seconds", "0.5"]) == 0
    found = {}
    for page in PAGES:
        found[page] = fresh_checkout(tmp_path_factory.mktemp(page.stem))
        (found[page] / "demo").symlink_to(clip.parent)
    return found


@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_each_block_works_as_it_stands(block: Block, checkouts: dict[Path, Path]) -> None:
    if block.needs is not None:
        pytest.skip(f"needs {block.needs}")
    if block.code.startswith("pip install"):
        pytest.skip("it would change the environment that the tests run in")
    if missing_builder(block):
        pytest.skip("no TensorRT is installed on this machine")
    result = run(block, checkouts[block.page])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda value: getattr(value, "stem", value))
def test_a_command_has_the_options_that_a_document_uses(page: Path, line: str) -> None:
    name, *arguments = shlex.split(line)
    command = typer.main.get_command(APPS[name])
    if name == "granet-export":
        command = command.commands[arguments[0]]  # type: ignore[attr-defined]
        name, *arguments = arguments
    elif name == "granet-archive" and arguments[0] in ARCHIVE_COMMANDS:
        command = typer.main.get_command(archive_app_of(arguments[0]))
        name, *arguments = arguments
    # Parses and converts, and runs nothing.
    command.make_context(name, arguments)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_a_block_is_of_a_known_language(page: Path) -> None:
    # A block of another language would be neither run nor marked.
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        file, _, heading = target.partition("#")
        assert (page.parent / file).exists(), target
        assert not heading or heading in anchors(page.parent / file), target


def test_the_readme_or_the_site_leads_to_every_page() -> None:
    text = README.read_text(encoding="utf-8")
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (*PAGES, *(ROOT / "docs").glob("*/*.md"), *MODEL_CARDS):
        name = page.relative_to(ROOT).as_posix()
        assert f"]({name}" in text or f": {name.removeprefix('docs/')}\n" in site, page


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
