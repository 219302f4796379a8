import errno
import os
import struct
from fractions import Fraction
from pathlib import Path

import pytest

from runtime.sources.camera import v4l2
from runtime.sources.camera.v4l2 import CameraMode, list_cameras

MODES = {
    b"MJPG": {(1280, 720): [(1, 30), (1, 15)], (640, 480): [(1001, 30000)]},
    b"YUYV": {(640, 480): [(1, 30)]},
}


def fake_ioctl(descriptor: int, request: int, argument: bytearray) -> int:
    """A webcam that answers each request as the kernel's documentation describes."""
    index = struct.unpack("=I", argument[:4])[0]
    try:
        # The values of the names in linux/videodev2.h, from a C compiler.
        if request == 2154321408:  # VIDIOC_QUERYCAP
            argument[:16] = b"uvcvideo".ljust(16, b"\0")
            argument[16:48] = b"A webcam".ljust(32, b"\0")
            argument[84:92] = struct.pack("=II", 0x84A00001, 0x04200001)
        elif request == 3225441794:  # VIDIOC_ENUM_FMT
            argument[44:48] = list(MODES)[index]
        elif request == 3224131146:  # VIDIOC_ENUM_FRAMESIZES
            argument[8:20] = struct.pack("=III", 1, *list(MODES[bytes(argument[4:8])])[index])
        elif request == 3224655435:  # VIDIOC_ENUM_FRAMEINTERVALS
            size = struct.unpack("=II", argument[8:16])
            argument[16:28] = struct.pack("=III", 1, *MODES[bytes(argument[4:8])][size][index])
        else:
            raise OSError(errno.ENOTTY, "unknown request")
    except IndexError:
        raise OSError(errno.EINVAL, "no more") from None
    return 0


def test_cameras_and_what_they_can_do(tmp_path: Path) -> None:
    for name in ("video10", "video2", "video-x", "videodev"):
        (tmp_path / name).touch()
    cameras = list_cameras(tmp_path, fake_ioctl)
    assert [camera.device.name for camera in cameras] == ["video2", "video10"]
    assert cameras[0].name == "A webcam" and not cameras[0].problem
    assert cameras[0].modes == (
        CameraMode("MJPG", (720, 1280), (Fraction(30), Fraction(15))),
        CameraMode("MJPG", (480, 640), (Fraction(30000, 1001),)),
        CameraMode("YUYV", (480, 640), (Fraction(30),)),
    )
    assert [str(mode) for mode in cameras[0].modes] == [
        "MJPG 1280x720 at 30, 15", "MJPG 640x480 at 29.97", "YUYV 640x480 at 30",
    ]  # fmt: skip


def test_devices_that_capture_nothing_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "video1").touch()

    def metadata(descriptor: int, request: int, argument: bytearray) -> int:
        argument[84:92] = struct.pack("=II", 0x84A00001, 0x04A00000)
        return 0

    assert list_cameras(tmp_path, metadata) == []


@pytest.mark.parametrize(
    ("number", "text", "for_ever"),
    [(errno.ENOTTY, "is not a camera", True), (errno.ENODEV, "does not respond: No such device", False)],
)
def test_problems_of_devices_that_are_not_cameras(
    tmp_path: Path, number: int, text: str, for_ever: bool
) -> None:
    def fail(descriptor: int, request: int, argument: bytearray) -> int:
        raise OSError(number, os.strerror(number))

    (tmp_path / "video0").touch()
    assert v4l2.problem_of(tmp_path / "video0", fake_ioctl) is None
    problem = v4l2.problem_of(tmp_path / "video0", fail)
    assert problem is not None and text in problem.text and problem.for_ever == for_ever
    problem = v4l2.problem_of(tmp_path / "video1")
    assert problem == v4l2.Problem("is not connected")


def test_a_camera_that_cannot_be_queried_says_why(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()

    def gone(descriptor: int, request: int, argument: bytearray) -> int:
        raise OSError(errno.ENODEV, "No such device")

    (camera,) = list_cameras(tmp_path, gone)
    assert "No such device" in camera.problem
    (tmp_path / "video0").unlink()
    (tmp_path / "video0").symlink_to("nowhere")
    (camera,) = list_cameras(tmp_path, gone)
    assert "cannot be opened: No such file" in camera.problem


def test_the_kernels_answer_is_asked_for_on_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A regular file is not a camera: the real ioctl fails on it.
    (tmp_path / "video0").touch()
    (camera,) = list_cameras(tmp_path)
    assert "does not respond" in camera.problem
    monkeypatch.setattr(v4l2.sys, "platform", "darwin")
    with pytest.raises(Exception, match="on Linux only"):
        list_cameras(tmp_path)
