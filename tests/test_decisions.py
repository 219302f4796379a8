"""The pages of docs/decisions are complete, are found from their index, and lead to what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "decisions"
INDEX = FOLDER / "README.md"
PAGES = sorted(set(FOLDER.glob("*.md")) - {INDEX})
SECTIONS = ["Context", "Decision", "Measurement", "Consequences", "What would change our mind"]


def links(page: Path) -> list[str]:
    """The targets of a page's links that lie in this repository."""
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    return [target for target in targets if not target.startswith("http")]


def test_the_index_has_each_page_once() -> None:
    assert sorted(links(INDEX)) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_answers_the_five_questions_in_order(page: Path) -> None:
    assert re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_points_to_exists(page: Path) -> None:
    for target in links(page):
        assert (page.parent / target).exists(), target
    for module in re.findall(r"\b(?:\w+/)+\w+\.py\b", page.read_text(encoding="utf-8")):
        assert (ROOT / module).exists(), module
