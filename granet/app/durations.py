"""Durations on the command line."""

import math
import re

from granet.app.console import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|min|m|h|)")
_CLOCK = re.compile(r"(?:(\d+):(?=[0-5]?\d:))?(\d{1,2}):([0-5]?\d(?:\.\d*)?)")


def parse_duration(text: str, option: str) -> float:
    """Seconds of a duration: ``90``, ``90s``, ``1.5m``, ``2h``, ``1:30`` or ``01:02:03.5``, as in FFmpeg.

    Args:
        text: the duration.
        option: names the option in the error.

    Raises:
        UsageError: if it is malformed.
    """
    if number := _NUMBER.fullmatch(text):
        seconds = float(number[1]) * _UNITS[number[2]]
    elif clock := _CLOCK.fullmatch(text):
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3])
        seconds = 3600 * hours + 60 * minutes + rest
    else:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UsageError(f"{option} {text}: give a duration like 90s, 2m or 1:30")
    return seconds


def duration_text(seconds: float) -> str:
    """A duration for people: ``45 s``, ``12 min``, ``3.5 h`` or ``6.2 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
