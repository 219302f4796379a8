"""docs/getting-started.md as a new user follows it: from the wheel, in a clean environment, elsewhere."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from granet import __version__
from tests.clean_install import copy_sources, environment_of_user, has_packages, lend
from tests.documents import ROOT, Block, blocks, missing_builder
from tests.media import read_clip
from tests.patience import PATIENCE, wait_for

PAGE = ROOT / "docs" / "getting-started.md"
STEPS = [block for block in blocks(PAGE) if block.language in ("bash", "python") and block.needs is None]
NEEDS = [block for block in blocks(PAGE) if block.needs is not None]
SERVE = "--serve :8080"
LENT = ("torch", "sympy", "networkx", "tensorrt_rtx", "tensorrt_rtx_cu13", "tensorrt_rtx_cu13_bindings")


@dataclass(frozen=True)
class User:
    """A person with a checkout, and a home in which nothing is installed."""

    checkout: Path
    home: Path

    @property
    def folder(self) -> Path:
        """Where the page sends its reader."""
        return self.home / "granet"

    def starts(self, block: Block, code: str | None = None) -> "subprocess.Popen[str]":
        """A block as it stands, or ``code`` in its place; only the first one runs in the checkout."""
        binaries = (self.folder / ".venv" / "bin", Path(sys.executable).parent)
        path = os.pathsep.join([*(str(each) for each in binaries if each.is_dir()), os.environ["PATH"]])
        program = ["python", "-c"] if block.language == "python" else ["bash", "-eu", "-o", "pipefail", "-c"]
        return subprocess.Popen(
            [*program, block.code if code is None else code],
            cwd=self.folder if self.folder.is_dir() else self.checkout,
            env=environment_of_user(HOME=str(self.home), PATH=path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # The background jobs of a shell ignore Ctrl-C, perhaps these tests too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def runs(self, block: Block) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of a block."""
        process = self.starts(block)
        output, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, output, errors


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    folder = tmp_path_factory.mktemp("user")
    if not has_packages(folder / "probe"):
        pytest.skip("packages cannot be had without a network")
    for name in ("checkout", "home"):
        (folder / name).mkdir()
    return User(copy_sources(folder / "checkout"), folder / "home")


@pytest.mark.parametrize("block", STEPS, ids=str)
def test_each_step_works_as_it_stands(block: Block, user: User) -> None:
    if missing_builder(block):
        pytest.skip("no TensorRT is installed on this machine")
    if SERVE in block.code:
        assert_shows_the_page(user, block)
        return
    if "[export," in block.code:
        # A gigabyte, which these tests have unpacked once already.
        lend(user.folder / ".venv" / "bin" / "python", user.home / "lent", *LENT, "tensorrt_rtx_cu13_libs")
    status, _, errors = user.runs(block)
    assert status == 0, errors


def assert_shows_the_page(user: User, block: Block) -> None:
    """Opens the page, sees a picture and presses Ctrl-C; until then the command goes on, on any machine."""
    process = user.starts(block, block.code.replace(SERVE, "--serve :0"))
    assert process.stderr is not None
    said: list[str] = []
    address = None
    while address is None and (line := process.stderr.readline()):
        said.append(line)
        address = re.search(r"-> (http://127\.0\.0\.1:\d+/)", line)
    assert address is not None, "".join(said)
    page = address[1]
    try:
        with urllib.request.urlopen(f"{page}stream.mjpg", timeout=PATIENCE) as stream:
            assert b"\xff\xd8\xff" in stream.read(2000)  # the start of a JPEG
        wait_for(lambda: frames_shown(page) > 0, "the first frame")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            _, rest = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGINT and "interrupted; " in rest, rest


def frames_shown(page: str) -> int:
    with urllib.request.urlopen(f"{page}state.json", timeout=PATIENCE) as state:
        return int(json.load(state)["frames"])


@pytest.mark.parametrize("block", NEEDS, ids=str)
def test_without_its_hardware_a_step_ends_with_one_line(block: Block, user: User) -> None:
    patterns, names = {
        "a camera": (("video*",), "camera 0"),
        "an NVIDIA GPU": (("nvidia*",), "needs a GPU and NVIDIA's driver"),
    }[block.needs or ""]
    if any(list(Path("/dev").glob(pattern)) for pattern in patterns):
        pytest.skip("the hardware is here")
    status, output, errors = user.runs(block)
    assert (status, output) == (1, "")
    assert errors.startswith("error: ") and names in errors and errors.count("\n") == 1


def test_the_steps_leave_what_the_page_promises(user: User) -> None:
    folder = user.folder
    rainy, dry = (cv2.imread(str(folder / name)) for name in ("rainy.png", "dry.png"))
    assert rainy is not None and dry is not None and rainy.shape == dry.shape == (320, 480, 3)
    # Rain is brighter than what is behind it.
    assert np.mean(dry) < np.mean(rainy)
    count = len(read_clip(folder / "rainy.mp4").frames)
    both = read_clip(folder / "both.mp4").frames
    assert len(both) == count and both[0].shape[1] >= 2 * 480
    assert len(read_clip(folder / "mine.mp4").frames) == 3
    assert len(read_clip(folder / "dry" / "rainy.mp4").frames) == count
    assert (folder / "mine.onnx").stat().st_size > 0


def test_the_wheel_has_the_name_that_the_page_gives_it() -> None:
    assert set(re.findall(r"granet_deploy-(.+?)-py3", PAGE.read_text("utf-8"))) == {__version__}
