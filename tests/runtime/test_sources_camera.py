from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from granet.errors import UserError
from runtime.sources import camera
from runtime.sources.camera import CameraSource


class FakeCapture:
    """A camera of 5 frames that then is unplugged."""

    opened = True
    frames = 5

    def __init__(self, index: int) -> None:
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
    monkeypatch.setattr(camera, "PATIENCE", 0.05)
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
    with pytest.raises(UserError, match="camera 0: has given no frame"):
        next(frames)


def test_a_camera_without_frames(fake: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "frames", 0)
    with pytest.raises(UserError, match="gives no frames"):
        CameraSource(1)


def test_no_camera_is_one_line_and_opencv_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="camera 97: is not there"):
        CameraSource(97)
    assert capfd.readouterr().err == ""
