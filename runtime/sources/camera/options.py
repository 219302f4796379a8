"""What a camera is asked for, from the texts of the command line."""

import re
from fractions import Fraction

from granet.app.console import UsageError
from runtime.sources.camera.source import CameraOptions


def parse_camera_options(pixel_format: str | None, size: str | None, rate: str | None) -> CameraOptions:
    """``MJPG``, ``1280x720`` and ``30`` or ``30000/1001``; ``None`` leaves it to the camera.

    Raises:
        UsageError: if one of them is none of that kind.
    """
    return CameraOptions(pixel_format, _size(size), _rate(rate))


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise UsageError(f"--camera-size {text}: write WIDTHxHEIGHT, as 1280x720")
    return int(match[2]), int(match[1])


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise UsageError(f"--camera-rate {text}: write frames a second, as 30 or 30000/1001")
    return rate
