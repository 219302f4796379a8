"""docs/ as a site: it builds without a warning, its reference is current, its recipes are marked."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.documents import blocks, run
from tests.media import make_clip, read_clip
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    if find_spec("material") is None or find_spec("mkdocs") is None:
        pytest.skip("mkdocs-material is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "site" / "reference" / "commands" / "index.html").is_file()


REFERENCE = """
import json, sys
sys.path.insert(0, "docs")
from make_reference import pages
print(json.dumps(pages()))
"""


def test_the_reference_is_what_the_commands_and_the_docstrings_say() -> None:
    command = [sys.executable, "-c", REFERENCE]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    current = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").iterdir()}
    assert json.loads(result.stdout) == current, "run python docs/make_reference.py"


def test_every_recipe_says_whether_it_was_run() -> None:
    sections = (DOCS / "recipes.md").read_text(encoding="utf-8").split("\n## ")[1:]
    assert {"FFmpeg pipes", "GStreamer", "go2rtc", "Frigate", "Home Assistant", "OBS", "cron"} == {
        section.split("\n")[0] for section in sections
    }
    for section in sections:
        assert section.split("\n")[2].startswith(("A test runs this", "Not run here")), section


def test_settings_for_other_programs_are_yaml() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    found = [part.split("\n```")[0] for part in text.split("```yaml\n")[1:]]
    assert found and all(isinstance(yaml.safe_load(each), dict) for each in found)


def test_the_recipe_of_ffmpeg_pipes(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on this machine")
    make_clip(tmp_path / "clip.mp4", count=3, size=(48, 64))
    (block,) = (each for each in blocks(DOCS / "recipes.md") if each.needs and "FFmpeg" in each.needs)
    result = run(block, tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(read_clip(tmp_path / "dry.mkv").frames) == 3
