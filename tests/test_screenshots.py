"""The pictures of docs/ that a script makes: it runs, and what it made is small and shown."""

import importlib.util
from pathlib import Path

import cv2
import pytest

from tests.chromium import find_chromium
from tests.documents import PAGES, README, ROOT

NAMES = ("side-by-side.jpg", "page.jpg", "archive-report.jpg")


def test_the_script_makes_every_picture(tmp_path: Path) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "make_screenshots.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.make(tmp_path, chromium, seconds=0.2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    for name in NAMES:
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None and picture.shape[1] >= 900
        assert picture.std() > 20, f"{name} shows next to nothing"


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_small_and_a_page_shows_it(name: str) -> None:
    assert (ROOT / "docs" / name).stat().st_size < 150_000
    assert any(f"{name})" in page.read_text(encoding="utf-8") for page in (README, *PAGES))
