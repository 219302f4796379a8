"""``python -m runtime.demo_clip``: its files, and the options that it refuses."""

from pathlib import Path

import cv2
import pytest

from granet.app.console import run_app
from runtime.demo_clip import app
from tests.media import read_clip


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.png", "--seconds", "3"], "--seconds with a.png: a picture has no length"),
        (["a.mp4", "--seed", "1", "--seed", "2"], "--seed is given 2 times: give it once"),
        (["a.mp4", "-v", "-q"], "--quiet with --verbose: one prints more, the other less; give one of them"),
    ],
)
def test_an_option_that_it_would_not_use_is_an_error(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_app(app, arguments) == 2
    assert capsys.readouterr().err == f"error: {reason}\n"
    assert not list(tmp_path.iterdir())


def test_seed_and_heaviness_choose_the_picture(tmp_path: Path) -> None:
    options = {"a": [], "same": [], "seed": ["--seed", "4"], "heavy": ["--heaviness", "0.9"]}
    for name, more in options.items():
        assert run_app(app, [str(tmp_path / f"{name}.png"), *more]) == 0
    pictures = {name: cv2.imread(str(tmp_path / f"{name}.png")).tobytes() for name in options}
    assert pictures["a"] == pictures["same"] and len(set(pictures.values())) == 3


def test_a_clip_has_25_frames_a_second_and_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    assert run_app(app, [str(clip), "--seconds", "0.2"]) == 0
    assert len(read_clip(clip).frames) == 5
    assert run_app(app, [str(clip), "--seconds", "0.4"]) == 1
    assert len(read_clip(clip).frames) == 5
    assert run_app(app, [str(clip), "--seconds", "0.4", "--overwrite"]) == 0
    assert len(read_clip(clip).frames) == 10
