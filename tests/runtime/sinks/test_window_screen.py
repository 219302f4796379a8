"""``granet-run`` with a window on a real screen: its picture, and the effect of keys, mouse and signals."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media import make_clip, numbered
from tests.patience import PATIENCE
from tests.screen import XVFB, Screen

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(XVFB is None, reason="no Xvfb on this machine")
pytest.importorskip("Xlib", reason="python-xlib is not installed")

HEIGHT, WIDTH = 240, 320


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    made = Screen()
    yield made
    made.close()


class Run:
    """A process whose engine inverts pictures; the test ends it."""

    def __init__(self, screen: Screen, directory: Path, *arguments: str) -> None:
        self._screen = screen
        self._err = directory / "stderr"
        with self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.runtime.run_fake", "--model", "fake.onnx", *arguments],
                cwd=directory,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "DISPLAY": screen.name,
                    "FAKE_INVERT": "1",
                    "QT_QPA_PLATFORM": "xcb",
                },
                stderr=err,
            )

    def see(self, condition: Callable[[np.ndarray], object], what: str) -> np.ndarray:
        """Waits until the screen satisfies the condition; shows the output of a process that ends first."""

        def seen(pixels: np.ndarray) -> object:
            assert self.process.poll() is None, self._err.read_text()
            return condition(pixels)

        return self._screen.wait_for(seen, what)

    def ended(self) -> tuple[int, str]:
        """Exit status and output."""
        return self.process.wait(60), self._err.read_text()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait(20)


def columns(pixels: np.ndarray) -> list[int]:
    """Grey levels across the lower half of the window's picture."""
    return [int(level) for level in pixels[HEIGHT * 3 // 4, :WIDTH].mean(axis=1)]


def pair(pixels: np.ndarray) -> tuple[int, int]:
    """Grey levels of the two halves of a comparison."""
    return int(pixels[200, 200].mean()), int(pixels[200, WIDTH + 4 + 200].mean())


def test_a_video_is_shown_as_it_plays_and_q_ends_it(screen: Screen, tmp_path: Path) -> None:
    # Five frames per second, for one minute.
    make_clip(tmp_path / "in.mp4", count=300, size=(HEIGHT, WIDTH), pts=[6000 * i for i in range(300)])
    with Run(screen, tmp_path, "--input", "in.mp4", "--compare") as run:
        # The input is left and its inverse right, and both move.
        shown = run.see(lambda pixels: abs(sum(pair(pixels)) - 255) < 4, "both halves")
        first = pair(shown)[0]
        run.see(
            lambda pixels: abs(sum(pair(pixels)) - 255) < 4 and abs(pair(pixels)[0] - first) > 10, "another"
        )
        screen.press("q")
        status, output = run.ended()
    assert status == 0
    frames = int(re.findall(r"^(\d+) frames in", output, re.M)[0])
    assert 2 <= frames < 250
    assert "Traceback" not in output
    if any(Path("/usr/share/fonts").rglob("*.ttf")):
        # Qt logs no warning.
        assert "QFont" not in output


def test_the_slider_follows_the_mouse_on_a_picture_that_stands_still(screen: Screen, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), numbered(2, HEIGHT, WIDTH))
    before, after = 48, 255 - 48

    def cut_at(place: int) -> Callable[[np.ndarray], object]:
        def holds(pixels: np.ndarray) -> bool:
            levels = columns(pixels)
            left, right = levels[: place - 12], levels[place + 12 :]
            return all(abs(level - before) < 4 for level in left) and all(
                abs(level - after) < 4 for level in right
            )

        return holds

    with Run(screen, tmp_path, "--input", "in.png", "--show", "slider") as run:
        run.see(cut_at(WIDTH // 2), "input left, result right")
        screen.drag((200, 100), (80, 100))
        run.see(cut_at(80), "the slider at 80")
        assert run.process.poll() is None
        screen.close_window("granet-run")
        status, output = run.ended()
    assert status == 0 and "Traceback" not in output, output


def test_ctrl_c_ends_a_picture_that_would_wait_for_a_key_and_its_file_is_whole(
    screen: Screen, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), numbered(2, HEIGHT, WIDTH))
    with Run(screen, tmp_path, "--input", "in.png", "--output", "window", "--output", "out.png") as run:
        run.see(lambda pixels: abs(columns(pixels)[WIDTH // 2] - 207) < 4, "the picture")
        run.see(lambda pixels: (tmp_path / "out.png").exists(), "the file")
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGINT)
        status, output = run.ended()
    assert status == -signal.SIGINT and "interrupted" in output and "Traceback" not in output
    written = cv2.imread(str(tmp_path / "out.png"))
    assert written is not None and abs(int(written[200, 200, 0]) - 207) < 2


def test_a_screen_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=3)
    for display, message in (("", "there is no screen"), (":4093", "a window cannot be opened")):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DISPLAY": display, "WAYLAND_DISPLAY": ""}
        run = subprocess.run(
            [sys.executable, "-m", "tests.runtime.run_fake", "--model", "fake.onnx", "--input", "in.mp4"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert run.returncode == 1 and run.stderr.count("\n") == 1
        assert f"error: {message}" in run.stderr and "--no-window" in run.stderr
