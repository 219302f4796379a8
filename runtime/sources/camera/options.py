"""Parsing of the camera options of the command line."""

from fractions import Fraction

from granet.app.console import UsageError
from granet.app.options import parse_size
from runtime.sources.camera.source import CameraOptions


def parse_camera_options(pixel_format: str | None, size: str | None, rate: str | None) -> CameraOptions:
    """Parses ``MJPG``, ``1280x720`` and ``30`` or ``30000/1001``; ``None`` keeps the camera's default.

    Raises:
        UsageError: if a value is malformed.
    """
    sides = None if size is None else parse_size(size, "--camera-size")
    return CameraOptions(pixel_format, sides, _rate(rate))


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise UsageError(f"--camera-rate {text}: write frames per second, such as 30 or 30000/1001")
    return rate
