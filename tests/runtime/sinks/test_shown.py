"""Live displays: the window and the virtual camera, with fakes for the screen and the device."""

import re
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from granet.errors import UserError
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sinks import window
from runtime.sinks.base import Sink
from runtime.sinks.pace import Pace
from runtime.sinks.virtual_camera import VirtualCameraSink
from runtime.sinks.window import WindowSink
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from runtime.views.banner import draw_banner
from tests.patience import PATIENCE

INFO = StreamInfo("cam", "camera", live=True, rate=Fraction(25), size=(48, 64))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """Replaces OpenCV's windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[Pixels] = []
        self.place = 500
        self.key = -1
        functions: dict[str, Any] = {
            "namedWindow": lambda *a: None,
            "resizeWindow": lambda *a: None,
            "createTrackbar": lambda *a: None,
            "setMouseCallback": lambda *a: None,
            "destroyAllWindows": lambda: None,
            "getWindowProperty": lambda *a: 1.0,
            "getTrackbarPos": lambda *a: self.place,
            "waitKey": lambda *a: self.key,
            "imshow": lambda title, pixels: self.shown.append(pixels.copy()),
        }
        for name, function in functions.items():
            monkeypatch.setattr(cv2, name, function)
        monkeypatch.setattr(window, "_check_screen", lambda instead: None)


def gray(level: int, index: int = 0) -> Frame:
    return Frame(np.full((48, 64, 3), level, np.uint8), index, index, Fraction(1, 25))


def test_a_window_says_that_its_picture_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, clock = Screen(monkeypatch), Clock()
    health = Health("cam", clock=clock)
    sink = WindowSink(INFO, health)
    sink.start("bgr")
    health.enter("live")
    sink.write(gray(200))
    health.frame_out(0.01)
    clock.now = 0.9
    sink.idle()
    assert len(screen.shown) == 1
    for clock.now in (1.2, 1.5, 1.9, 2.3):
        sink.idle()
    # The banner is drawn once per second on the picture, which stays visible around it.
    assert len(screen.shown) == 3
    assert screen.shown[1][24].min() < 100 and (screen.shown[1][:8] == 200).all()
    sink.write(gray(200))
    assert (screen.shown[-1] == 200).all()


def test_the_slider_has_the_input_on_its_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    sink = WindowSink(INFO, Health("cam"), slider=True)
    assert sink.wants_before
    sink.start("rgb")
    for screen.place, columns in ((250, 16), (0, 0), (1000, 64)):
        sink.write(gray(10), gray(90))
        shown = screen.shown[-1]
        assert shown.shape == (48, 64, 3)
        assert (shown[:, : max(0, columns - 2)] == 90).all() and (shown[:, columns + 2 :] == 10).all()


def test_the_slider_moves_on_a_stalled_picture_and_keeps_its_banner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen, clock = Screen(monkeypatch), Clock()
    health = Health("cam", clock=clock)
    sink = WindowSink(INFO, health, slider=True)
    sink.start("bgr")
    health.enter("live")
    sink.write(gray(10), gray(90))
    health.frame_out(0.01)
    sink.idle()
    assert len(screen.shown) == 1
    screen.place = 0
    sink.idle()
    assert len(screen.shown) == 2 and (screen.shown[1][:8, 4:] == 10).all()
    clock.now, screen.place = 1.5, 1000
    sink.idle()
    assert (screen.shown[2][:8, :60] == 90).all() and screen.shown[2][24].max() > 100


def test_a_window_that_was_closed_while_a_frame_waits_is_not_opened_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen, info = Screen(monkeypatch), StreamInfo("clip", "video", live=False)
    sink = WindowSink(info)
    sink.start("bgr")
    sink.write(gray(10, 0))

    def closed(*arguments: object) -> float:
        raise cv2.error("NULL guiReceiver")

    monkeypatch.setattr(cv2, "getWindowProperty", closed)
    sink.write(gray(20, 250))
    assert not sink.wants_more and len(screen.shown) == 1


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("build", ["headless", "without highgui"])
def test_without_windows_in_opencv_the_line_says_what_to_install(
    platform: str, build: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", ":1")
    if build == "headless":
        monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    else:
        monkeypatch.delattr(cv2, "currentUIFramework")
        monkeypatch.delattr(cv2, "namedWindow")
    with pytest.raises(UserError, match=r"headless && pip install opencv-python; or add --output") as caught:
        WindowSink(StreamInfo("clip", "video", live=False))
    assert "\n" not in str(caught.value)


def test_nothing_but_the_window_needs_opencv_to_open_windows() -> None:
    """So opencv-python-headless is enough for everything else."""
    calls = re.compile(r"cv2\.(namedWindow|imshow|waitKey|destroyAllWindows|createTrackbar|resizeWindow)")
    root = Path(window.__file__).parents[2]
    files = [
        path
        for name in ("granet", "runtime", "export", "calibration")
        for path in (root / name).rglob("*.py")
    ]
    assert [path.name for path in files if calls.search(path.read_text(encoding="utf-8"))] == ["window.py"]


def test_what_is_released_waits_for_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    Screen(monkeypatch)
    sink = WindowSink(StreamInfo("photos", "pictures", live=False))
    sink.start("bgr")
    sink.write(gray(10))
    sink.release()
    sink.finish()


def test_a_gap_of_a_file_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-lapse has frames an hour apart; Ctrl-C ends the wait at once."""
    Screen(monkeypatch)
    monkeypatch.setattr(cv2, "waitKey", lambda milliseconds: time.sleep(milliseconds / 1000) or -1)
    file = StreamInfo("clip", "video", live=False)
    for sink in (WindowSink(file), _Paced()):
        sink.start("bgr")
        sink.write(gray(10))
        ending = threading.Timer(0.3, sink.release)
        ending.start()
        began = time.monotonic()
        sink.write(gray(20, index=25 * 3600))
        assert 0.2 < time.monotonic() - began < PATIENCE
        ending.join()


class _Paced(Sink):
    """A sink that only waits, as the virtual camera does before it sends."""

    def __init__(self) -> None:
        self._pace = Pace(live=False)

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        self._pace.wait(frame)

    def release(self) -> None:
        self._pace.release()


def test_q_closes_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    sink = WindowSink(INFO, Health("cam"))
    sink.start("bgr")
    sink.write(gray(1))
    assert sink.wants_more
    screen.key = ord("q")
    sink.idle()
    assert not sink.wants_more


def test_a_banner_fits_any_picture_and_leaves_the_original() -> None:
    for height, width in ((16, 16), (48, 64), (1080, 1920)):
        pixels = np.full((height, width, 3), 180, np.uint8)
        drawn = draw_banner(pixels, "NO SIGNAL for 12 s - reconnecting")
        assert drawn.shape == pixels.shape and (pixels == 180).all()
        assert drawn[height // 2].min() < 100
        # The text fits into the picture.
        if width >= 64:
            assert (drawn[:, :1] < 185).all() and drawn.max() > 200


def test_a_file_is_paced_and_a_camera_is_not() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    assert pace.ahead(gray(0, 0)) == 0
    clock.now = 0.1
    assert pace.ahead(gray(0, 25)) == pytest.approx(0.9)
    assert Pace(live=True, clock=clock).ahead(gray(0, 25)) == 0
    assert pace.ahead(Frame(gray(0).pixels, 3)) == 0


class Loopback:
    """A backend for the real pyvirtualcam; replaces v4l2loopback, which needs a kernel module."""

    made: ClassVar[dict[str, Any]] = {}
    sent: ClassVar[list[Pixels]] = []
    closed: ClassVar[int] = 0

    def __init__(self, **options: Any) -> None:
        if options["device"] == "/dev/nothing":
            raise RuntimeError("Device /dev/nothing does not exist.")
        Loopback.made, Loopback.sent, Loopback.closed = options, [], 0

    def send(self, pixels: Pixels) -> None:
        assert pixels.flags.c_contiguous and pixels.ndim == 1
        Loopback.sent.append(pixels.reshape(self.made["height"], self.made["width"], 3).copy())

    def close(self) -> None:
        Loopback.closed += 1

    def device(self) -> str:
        return str(self.made["device"])

    def native_fourcc(self) -> None:
        return None


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package, with :class:`Loopback` as its only backend."""
    package = pytest.importorskip("pyvirtualcam", reason="pyvirtualcam is not installed")
    monkeypatch.setattr(package.camera, "BACKENDS", {"loopback": Loopback})
    return package


def test_a_virtual_camera_shows_the_picture_and_a_banner_on_a_stall(loopback: Any) -> None:
    clock = Clock()
    health = Health("cam", clock=clock)
    sink = VirtualCameraSink("/dev/video4", INFO, health)
    sink.start("rgb")
    health.enter("live")
    sink.write(Frame(np.full((49, 65, 3), 200, np.uint8), 0))
    health.frame_out(0.01)
    made = Loopback.made
    assert (made["width"], made["height"], made["fps"], made["device"]) == (64, 48, 25.0, "/dev/video4")
    # If the camera changes its size, the virtual camera keeps its own.
    sink.write(Frame(np.full((48, 32, 3), 200, np.uint8), 1))
    assert Loopback.sent[-1][:, :10].max() == 0 and Loopback.sent[-1][:, 32].min() == 200
    clock.now = 2.5
    sink.idle()
    sink.idle()
    assert len(Loopback.sent) == 3
    sink.finish()
    assert Loopback.closed == 1


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_a_virtual_camera_gets_the_colour_order(loopback: Any, colour: Colour) -> None:
    sink = VirtualCameraSink(None, INFO, Health("cam"))
    sink.start(colour)
    sink.write(gray(9))
    fourcc = loopback.util.encode_fourcc(getattr(loopback.PixelFormat, colour.upper()).value)
    assert Loopback.made["fourcc"] == fourcc and Loopback.made["device"] is None
    sink.abort()


def test_a_virtual_camera_that_cannot_be_had_is_one_line(loopback: Any) -> None:
    sink = VirtualCameraSink("/dev/nothing", INFO, Health("cam"))
    sink.start("bgr")
    with pytest.raises(UserError, match="cannot be opened: 'loopback' backend: Device /dev/nothing does not"):
        sink.write(gray(1))


def test_a_virtual_camera_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    message = "a virtual camera needs pyvirtualcam, which is not installed: pip install pyvirtualcam$"
    with pytest.raises(UserError, match=message):
        VirtualCameraSink(None, INFO, Health("cam"))
