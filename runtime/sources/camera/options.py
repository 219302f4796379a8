"""Parses the camera options of the command line."""

from fractions import Fraction

from granet.app.console import UsageError
from granet.app.options import parse_size
from runtime.sources.camera.source import CameraOptions


def parse_camera_options(pixel_format: str | None, size: str | None, rate: str | None) -> CameraOptions:
    """Parses format, size and rate; ``None`` leaves one to the camera.

    Args:
        pixel_format: FourCC (``MJPG``).
        size: ``WIDTHxHEIGHT`` in pixels.
        rate: frames per second, as ``30`` or ``30000/1001``.

    Raises:
        UsageError: if size or rate cannot be parsed.
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
        raise UsageError(f"--camera-rate {text}: give frames per second, as in 30 or 30000/1001")
    return rate
