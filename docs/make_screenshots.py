"""Makes the pictures of the documentation: ``python docs/make_screenshots.py docs``. Needs Chromium.

side-by-side.jpg is a frame of ``granet-run --compare``, page.jpg the page of ``granet-run --serve``, and
archive-report.jpg the report of ``granet-archive``, all of drawn rain.
"""

import re
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.chromium import Browser, find_chromium  # noqa: E402

RAW = "480x320:bgr24@25"
PICTURE_IS_THERE = """(() => {
    const canvas = document.getElementById("canvas");
    const sky = canvas.getContext("2d").getImageData(canvas.width * 0.4, canvas.height * 0.04, 1, 1).data;
    return canvas.width > 900 && sky[2] > 60;
})()"""
"""Side by side; until the first frame there is a dark one that says so."""

QUALITY = 85
"""Of the JPEG files."""


def make(folder: Path, chromium: str, seconds: float = 1.0) -> None:
    """Writes the three pictures.

    Args:
        folder: where to.
        chromium: path of the browser.
        seconds: length of the clip.
    """
    with tempfile.TemporaryDirectory() as name, closing(Browser(chromium, Path(name) / "profile")) as browser:
        work = Path(name)
        clip = work / "recordings" / "monday.mp4"
        clip.parent.mkdir()
        _run("runtime.demo_clip", clip, "--seconds", seconds)
        _side_by_side(clip, work, folder / "side-by-side.jpg")
        _page(clip, browser, folder / "page.jpg")
        _report(clip.parent, browser, folder / "archive-report.jpg")


def _run(module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, check=True)


def _side_by_side(clip: Path, work: Path, path: Path) -> None:
    _run("runtime.cli", clip, "-o", work / "frame.png", "--compare", "--max-frames", 1)
    _write(path, (work / "frame.png").read_bytes())


def _page(clip: Path, browser: Browser, path: Path) -> None:
    """The page of a run that reads the clip again and again, until the picture is taken."""
    command = [sys.executable, "-m", "runtime.cli", "-", "--raw", RAW, "--serve", ":0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=False
    ) as run:
        assert run.stdin is not None and run.stderr is not None
        try:
            _feed(run.stdin, clip)
            lines = (line.decode() for line in run.stderr)
            url = next(found[1] for line in lines if (found := re.search(r"(http://\S+/),? ", line)))
            browser.resize(1000, 420)
            browser.open(url)
            browser.value("document.querySelector('[data-view=compare]').click()")
            browser.wait_for(PICTURE_IS_THERE)
            # The figures are of the machine that takes the picture, which also runs a browser.
            browser.value("document.querySelector('footer').remove()")
            _write(path, browser.screenshot())
        finally:
            run.terminate()


def _feed(pipe: BinaryIO, clip: Path) -> None:
    """Starts to write the frames of a clip to a pipe, again and again, until its reader ends."""

    def feed() -> None:
        with suppress(BrokenPipeError, ValueError):
            while True:
                video = cv2.VideoCapture(str(clip))
                while (read := video.read())[0]:
                    pipe.write(read[1].tobytes())

    threading.Thread(target=feed, daemon=True).start()


def _report(recordings: Path, browser: Browser, path: Path) -> None:
    results = recordings.with_name("dry")
    _run("runtime.archive.cli", recordings, results)
    browser.resize(1000, 470)
    browser.open((results / ".granet-archive" / "report.html").as_uri())
    _write(path, browser.screenshot())


def _write(path: Path, png: bytes) -> None:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    if (found := find_chromium()) is None:
        sys.exit("error: no Chromium on this machine: install the package chromium")
    make(Path(sys.argv[1]), found)
