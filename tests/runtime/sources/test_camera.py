import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from granet.errors import UserError
from runtime.sources.base import WrongSettingsError
from runtime.sources.camera import capture
from runtime.sources.camera import source as camera
from runtime.sources.camera.source import CameraOptions, CameraSource, device_path
from runtime.sources.open import open_camera
from tests.patience import wait_for
from tests.runtime.sources.watching import Watcher, impatient


class FakeCapture:
    """A camera that is unplugged after 5 frames."""

    opened = True
    frames = 5

    def __init__(self, index: int, backend: int) -> None:
        self.read_frames = 0
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opened

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.read_frames == self.frames:
            return False, None
        self.read_frames += 1
        return True, np.full((20, 30, 3), (self.read_frames, 0, 200), np.uint8)

    def get(self, prop: int) -> float:
        return 29.97002997

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    monkeypatch.setattr(camera.cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(camera, "problem_of", lambda path: None)
    monkeypatch.setattr(capture, "PATIENCE", 0.05)
    return FakeCapture


def test_frames_have_rising_times_and_no_frame_is_read_twice(fake: type[FakeCapture]) -> None:
    source = CameraSource(0)
    assert source.info.live and source.info.kind == "camera"
    assert source.info.rate == Fraction(30000, 1001) and source.info.size == (20, 30)
    frames = source.frames("bgr")
    got = [next(frames) for _ in range(5)]
    assert [frame.pixels[0, 0, 0] for frame in got] == [1, 2, 3, 4, 5]
    times = [frame.pts for frame in got]
    assert all(a < b for a, b in pairwise(times))  # type: ignore[operator]


def test_an_unplugged_camera_is_an_error_not_a_black_frame(fake: type[FakeCapture]) -> None:
    source = CameraSource(0)
    frames = source.frames("rgb")
    assert [next(frames).pixels[0, 0].tolist() for _ in range(5)][-1] == [200, 0, 5]
    with pytest.raises(UserError, match="camera 0: delivered no frame"):
        next(frames)


def test_a_camera_without_frames(fake: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "frames", 0)
    with pytest.raises(UserError, match="delivers no frames"):
        CameraSource(1)


def test_no_camera_is_one_line_and_opencv_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="camera 97: is not connected"):
        CameraSource(97)
    assert capfd.readouterr().err == ""


class ObedientCapture(FakeCapture):
    """Applies supported settings and records the order of the requests."""

    frames = 10_000
    can = {  # noqa: RUF012 - a test changes it
        "size": (20, 30), "rate": 15.0, "format": "YUYV",
    }  # fmt: skip
    requested: list[int] = []  # noqa: RUF012
    unplugged = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return not self.unplugged

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(0.005)
        if self.unplugged:
            return False, None
        return True, np.full((*self.can["size"], 3), 9, np.uint8)  # type: ignore[misc]

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_FPS:
            return float(self.can["rate"])  # type: ignore[arg-type]
        return float(cv2.VideoWriter.fourcc(*str(self.can["format"])))

    def set(self, prop: int, value: float) -> bool:
        self.requested.append(prop)
        return True


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> type[ObedientCapture]:
    monkeypatch.setattr(camera.cv2, "VideoCapture", ObedientCapture)
    monkeypatch.setattr(camera, "problem_of", lambda path: None)
    monkeypatch.setattr(capture, "PATIENCE", 0.05)
    monkeypatch.setattr(ObedientCapture, "requested", [])
    monkeypatch.setattr(ObedientCapture, "unplugged", False)
    return ObedientCapture


def test_format_size_and_rate_are_set_in_that_order(obedient: type[ObedientCapture]) -> None:
    CameraSource("/dev/video0", CameraOptions("YUYV", (20, 30), Fraction(15))).close()
    assert obedient.requested == [
        cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FPS,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CameraOptions(size=(40, 60)), "delivers 30x20, not 60x40; --list-cameras"),
        (CameraOptions(rate=Fraction(30)), "delivers 15 frames per second, not 30"),
        (CameraOptions("MJPG"), "delivers YUYV, not MJPG"),
    ],
)
def test_a_camera_that_does_something_else_is_an_error_at_once(
    obedient: type[ObedientCapture], options: CameraOptions, message: str
) -> None:
    with pytest.raises(WrongSettingsError, match=message):
        open_camera(0, options, impatient())


def test_a_pixel_format_has_four_letters() -> None:
    with pytest.raises(WrongSettingsError, match="MJPEG is not a four-letter"):
        CameraOptions("MJPEG")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="devices of Linux")
def test_a_device_that_is_not_a_camera_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for device in ("/dev/null", str(tmp_path / "file")):
        with pytest.raises(WrongSettingsError, match="is not a camera"):
            open_camera(device, None, impatient())
    with pytest.raises(UserError, match=r"cannot be opened: Is a directory"):
        open_camera(str(tmp_path), None, impatient(give_up_after=0.2))


def test_devices() -> None:
    if (path := device_path(3)) is not None:
        assert path == Path("/dev/video3")
        assert device_path("/dev/v4l/by-id/front") == Path("/dev/v4l/by-id/front")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_unplugged_camera_comes_back(
    obedient: type[ObedientCapture], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    said: list[str] = []
    with Watcher(open_camera(0, None, impatient(said))) as watcher:
        watcher.wait_for_frames(2 + seed)
        monkeypatch.setattr(obedient, "unplugged", True)
        watcher.wait_for_state("reconnecting")
        monkeypatch.setattr(obedient, "unplugged", False)
        watcher.wait_for_frames()
        wait_for(lambda: watcher.state == "live")
    times = watcher.times()
    assert all(a < b for a, b in pairwise(times)) and watcher.error is None
    assert "camera 0: reconnecting: delivered no frame for 0.05 s" in said


@pytest.mark.parametrize("rate", ["nan", "inf", "1e400", "1e999999999", "30/0", "-1", "0", "1e3"])
def test_a_rate_is_a_number_that_a_camera_can_have(rate: str) -> None:
    with pytest.raises(UserError, match="frames per second"):
        camera.parse_camera_options(None, None, rate)
