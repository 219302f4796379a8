"""``granet-run --camera`` through OpenCV's real V4L2 code, with a webcam emulated by a shared library."""

import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.media import number_of, read_clip
from tests.patience import PATIENCE
from tests.runtime.live.test_run_live import ROOT, running

SOURCE = Path(__file__).with_name("fake_v4l2.c")
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("v4l2") / "fake_v4l2.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(path), str(SOURCE), "-ldl"], check=True)
    return path


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "video0").touch()
    return tmp_path / "dev" / "video0"


def environment(library: Path, device: Path) -> dict[str, str]:
    return {"LD_PRELOAD": str(library), "FAKE_V4L2": str(device.parent)}


def test_the_kernels_own_structures_are_read(library: Path, device: Path) -> None:
    code = (
        "from pathlib import Path; from runtime.sources.camera.v4l2 import list_cameras\n"
        f"for camera in list_cameras(Path({str(device.parent)!r})):\n"
        "    print(camera.name, *camera.modes, camera.problem, sep='|')"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment(library, device)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "A webcam in user space|YUYV 64x48 at 30|YUYV 128x96 at 30, 15|\n"


def test_format_size_and_rate_are_as_requested(library: Path, device: Path, tmp_path: Path) -> None:
    asked = ("--camera-format", "YUYV", "--camera-size", "128x96", "--camera-rate", "15")
    with running(
        str(device), tmp_path, *asked, "--max-frames", "20",
        option="--camera", **environment(library, device),
    ) as run:  # fmt: skip
        assert run.process.wait(PATIENCE) == 0, run.told()
        assert "(128x96, 15 fps)" in run.told()
    clip = read_clip(tmp_path / "out.mkv")
    numbers = [number_of(frame) for frame in clip.frames]
    assert clip.size == (96, 128) and 0 < len(numbers) <= 20
    # Fifteen frames per second and not thirty, where two frames follow each other. A stall loses frames.
    near = [
        float(after - before)
        for (before, after), (a, b) in zip(pairwise(clip.times), pairwise(numbers), strict=True)
        if (b - a) % 14 == 1
    ]
    assert not near or float(np.median(near)) > 1 / 22


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--camera-size", "640x480"), "delivers 128x96, not 640x480; --list-cameras"),
        (("--camera-format", "MJPG"), "delivers YUYV, not MJPG; --list-cameras"),
        (("--camera-rate", "60"), "delivers 30 frames per second, not 60; --list-cameras"),
    ],
)
def test_unsupported_settings_are_one_line(
    library: Path, device: Path, tmp_path: Path, asked: tuple[str, ...], message: str
) -> None:
    with running(str(device), tmp_path, *asked, option="--camera", **environment(library, device)) as run:
        assert run.process.wait(PATIENCE) == 1
        assert message in run.told().splitlines()[-1]


def test_a_camera_that_is_unplugged_comes_back(library: Path, device: Path, tmp_path: Path) -> None:
    with running(str(device), tmp_path, option="--camera", **environment(library, device)) as run:
        for _ in range(2):
            run.wait_for_frames(10)
            device.unlink()
            run.wait_for(lambda state: state["state"] == "reconnecting")
            device.touch()
            frames = int(run.wait_for(lambda state: state["state"] == "live")["frames"])  # type: ignore[call-overload]
            run.wait_for_frames(frames + 5)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == -signal.SIGTERM
        told = run.told()
        assert told.count("live again after") == told.count("reconnecting: was unplugged") == 2
        assert "WARN" not in told
    clip = read_clip(tmp_path / "out.mkv")
    assert all(a < b for a, b in pairwise(clip.times))
