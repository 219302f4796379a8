"""``granet-eval --fixed-camera``: flicker of a clip of known rain, and one line for each mistake."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import runtime.evaluation.models as evaluated_models
from granet.app.console import run_app
from runtime.engines.base import Engine
from runtime.evaluation.cli import app
from runtime.media.frame import Pixels
from tests.media import make_clip
from tests.runtime.fakes import FakeEngine

SCENE = np.random.default_rng(1).integers(20, 120, (24, 32, 1)).repeat(3, 2).astype(np.uint8)
RAIN = 80
"""Grey levels that rain adds to a pixel in every eighth frame."""

Invoke = Callable[[str], tuple[int, str, str]]


def rainy(index: int) -> Pixels:
    turn = np.random.default_rng(2).integers(0, 8, (24, 32, 1))
    return np.asarray(SCENE + RAIN * ((index + turn) % 8 == 0), np.uint8)


class Halving(FakeEngine):
    """Takes half of the rain away."""

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        return (np.asarray((batch.astype(int) + SCENE) // 2, np.uint8),)


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    """Runs ``granet-eval --fixed-camera`` beside ``clip``, 40 pictures of rain; (status, out, err)."""

    def open_engine(path: Path, *arguments: object, **options: object) -> Engine:
        return Halving() if path.stem == "half" else FakeEngine()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluated_models, "open_engine", open_engine)
    (tmp_path / "clip").mkdir()
    for index in range(40):
        cv2.imwrite(f"clip/{index:03d}.png", rainy(index))

    def call(line: str) -> tuple[int, str, str]:
        status = run_app(app, f"--model half.onnx {line}".split())
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return call


def test_each_model_has_a_line_and_the_rule_is_below(invoke: Invoke) -> None:
    status, out, err = invoke("--model still.onnx --fixed-camera clip")
    assert status == 0 and err.splitlines() == ["half.onnx: fake, cpu, fp32", "still.onnx: fake, cpu, fp32"]
    half, still = (
        next(line for line in out.splitlines() if f" {name} " in line) for name in ("half.onnx", "still.onnx")
    )
    # A value that is 80 in an eighth of the frames deviates by 80 sqrt(1/8 * 7/8); half of it is left.
    for line in (half, still):
        assert " 40 " in line and " 100.0% " in line and f" {RAIN * np.sqrt(7) / 8:.3f} " in line
    assert " 50.0% " in half and " 0.0% " in still
    assert "static pixels: luma is within 4 grey levels of its median" in out


def test_json_has_the_same_numbers(invoke: Invoke) -> None:
    status, out, _ = invoke("--fixed-camera clip --json --limit 16")
    assert status == 0
    report = json.loads(out)
    assert set(report) == {"models", "fixed_camera"} and report["models"][0]["file"] == "half.onnx"
    assert report["fixed_camera"]["clip"] == "clip"
    found = report["fixed_camera"]["results"]["half.onnx"]
    assert found["frames"] == 16 and found["static_share"] == 1
    assert found["flicker_removed"] == pytest.approx(0.5)
    # Halving the error is 6.02 dB.
    assert found["psnr_after_db"] - found["psnr_before_db"] == pytest.approx(20 * np.log10(2))


def test_a_long_video_is_cut_and_says_so_unless_the_user_sets_the_length(
    invoke: Invoke, tmp_path: Path
) -> None:
    make_clip(tmp_path / "long.mkv", frames=[rainy(index) for index in range(130)])
    status, out, err = invoke("--fixed-camera long.mkv")
    assert status == 0 and " 120 " in out
    assert err.splitlines()[0] == (
        "long.mkv: only the first 120 frames are measured (--limit N sets another number)"
    )
    status, out, err = invoke("--fixed-camera long.mkv --limit 125")
    assert status == 0 and " 125 " in out and "only the first" not in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("missing.mp4", "--fixed-camera missing.mp4: no such video file or directory of frames"),
        ("rtsp://me:secret@camera/1", "--fixed-camera rtsp://***@camera/1: no such video file"),
        ("empty", "empty: no pictures in this directory"),
        ("text.mp4", "text.mp4: "),
        ("short", "has 9 frames, but at least 10 are needed"),
        ("moving", "of the pixels of this clip are static"),
        ("mixed", "mixed: its frames differ in size"),
        ("frozen", "nothing flickers where this clip stands still"),
    ],
)
def test_a_mistake_is_one_line_and_no_model_runs(
    invoke: Invoke, tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("hello")
    rng = np.random.default_rng(3)
    for name in ("moving", "mixed", "short"):
        (tmp_path / name).mkdir()
        for index in range(9 if name == "short" else 12):
            height = 30 if (name, index) == ("mixed", 7) else 24
            cv2.imwrite(f"{name}/{index:02d}.png", rng.integers(0, 255, (height, 32, 3), np.uint8))
    (tmp_path / "frozen").mkdir()
    for index in range(12):
        cv2.imwrite(f"frozen/{index:02d}.png", rainy(0))
    status, out, err = invoke(f"--fixed-camera {line}")
    assert (status, out) == (1, "")
    assert err.startswith("error: ") and message in err and len(err.splitlines()) == 1
