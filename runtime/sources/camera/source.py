"""A local camera, captured with OpenCV (V4L2 on Linux)."""

import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2

from granet.app.console import UsageError
from granet.app.options import parse_size
from granet.app.value import wrong_value
from granet.errors import UserError
from runtime.media.frame import Pixels
from runtime.sources.base import WrongSettingsError
from runtime.sources.camera.capture import CaptureSource
from runtime.sources.camera.v4l2 import problem_of

_HINT = "--list-cameras shows the supported modes"
_DEVICE = "/dev/video"
_RATE = re.compile(r"\d{1,9}(?:\.\d{1,9})?(?:/\d{1,9})?")
_RATE_TOLERANCE = 0.02


@dataclass(frozen=True)
class CameraOptions:
    """Requested camera settings; ``None`` keeps the camera's default.

    Attributes:
        pixel_format: four-letter V4L2 code: ``MJPG``, ``YUYV``.
        size: (height, width) in pixels.
        rate: frames per second.

    Raises:
        WrongSettingsError: if the code has not four letters.
    """

    pixel_format: str | None = None
    size: tuple[int, int] | None = None
    rate: Fraction | None = None

    def __post_init__(self) -> None:
        if self.pixel_format is not None and len(self.pixel_format) != 4:
            raise WrongSettingsError(f"{self.pixel_format} is not a four-letter pixel format such as MJPG")


class CameraSource(CaptureSource):
    """Live frames of a camera; each timestamp is the time of the read, counted from 0.

    Args:
        camera: its number, from 0, or its device (``/dev/video0``).
        options: pixel format, size and frame rate.

    Raises:
        WrongSettingsError: if the camera does not support ``options``, or the device is not a camera.
        UserError: if there is no such camera, or it delivers no frame.
    """

    def __init__(self, camera: int | str, options: CameraOptions | None = None) -> None:
        wanted = options or CameraOptions()
        name = f"camera {camera}"
        path = device_path(camera)
        problem = None if path is None else problem_of(path)
        if problem is not None:
            raise (WrongSettingsError if problem.for_ever else UserError)(f"{name}: {problem.text}")
        opened = _identity(path)
        super().__init__(
            name,
            lambda: _open(camera, wanted),
            "cannot be opened with OpenCV",
            lambda capture, first: _check(name, capture, first, wanted),
            lambda: _identity(path) != opened,
        )


def parse_camera_options(pixel_format: str | None, size: str | None, rate: str | None) -> CameraOptions:
    """Parses format, size and rate; ``None`` leaves one to the camera.

    Args:
        pixel_format: FourCC (``MJPG``).
        size: ``WIDTHxHEIGHT`` in pixels.
        rate: frames per second, as ``30`` or ``30000/1001``.

    Raises:
        UsageError: if one cannot be parsed.
    """
    sides = None if size is None else parse_size(size, "--camera-size")
    with wrong_value("--camera-format"):
        return CameraOptions(pixel_format, sides, _rate(rate))


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    # The pattern keeps out 1e999999999, which would take minutes to become an integer.
    valid = _RATE.fullmatch(text) and not text.endswith("/0")
    rate = Fraction(text) if valid else Fraction(0)
    if rate <= 0:
        raise UsageError(f"--camera-rate {text}: give frames per second, as in 30 or 30000/1001")
    return rate


def device_path(camera: int | str) -> Path | None:
    """The device file of a camera; ``None`` on systems without device files."""
    if not sys.platform.startswith("linux"):
        return None
    return Path(f"{_DEVICE}{camera}" if isinstance(camera, int) else camera)


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Device and inode number of the device file; a camera that is plugged in again gets a new file."""
    try:
        status = None if path is None else path.stat()
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)


def _open(camera: int | str, wanted: CameraOptions) -> cv2.VideoCapture:
    # Name the backend: otherwise OpenCV would also try to read the device as a video file.
    capture = cv2.VideoCapture(camera, cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY)
    if capture.isOpened():
        # Set the format first: the available sizes and rates depend on it.
        if wanted.pixel_format is not None:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted.pixel_format))
        if wanted.size is not None:
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.size[0])
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.size[1])
        if wanted.rate is not None:
            capture.set(cv2.CAP_PROP_FPS, float(wanted.rate))
    return capture


def _check(name: str, capture: cv2.VideoCapture, first: Pixels, wanted: CameraOptions) -> None:
    """Raises if the camera differs from ``wanted``: drivers silently choose the nearest settings."""
    if wanted.pixel_format is not None:
        code = int(capture.get(cv2.CAP_PROP_FOURCC))
        got = code.to_bytes(4, "little").decode("ascii", "replace")
        if got != wanted.pixel_format:
            raise WrongSettingsError(f"{name}: delivers {got}, not {wanted.pixel_format}; {_HINT}")
    size = first.shape[:2]
    if wanted.size is not None and size != wanted.size:
        asked = f"{wanted.size[1]}x{wanted.size[0]}"
        raise WrongSettingsError(f"{name}: delivers {size[1]}x{size[0]}, not {asked}; {_HINT}")
    rate = capture.get(cv2.CAP_PROP_FPS)
    if wanted.rate is not None and abs(rate - float(wanted.rate)) > _RATE_TOLERANCE * float(wanted.rate):
        raise WrongSettingsError(
            f"{name}: delivers {rate:g} frames per second, not {float(wanted.rate):g}; {_HINT}"
        )
