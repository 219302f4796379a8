"""The chapters of a part of a video."""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container.core import Chapter  # only in the stubs


def chapters_between(
    chapters: "Sequence[Chapter]", start: Fraction, end: Fraction | None
) -> "tuple[Chapter, ...]":
    """The chapters that are shown between two times, cut there, and relative to the first time.

    Args:
        chapters: of the whole video.
        start: seconds.
        end: seconds; ``None`` for the end of the video.
    """
    cut: list[Chapter] = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1)
        first, last = round(start / base), None if end is None else round(end / base)
        begins, ends = max(chapter["start"], first), chapter["end"]
        ends = ends if last is None else min(ends, last)
        is_point = chapter["start"] == chapter["end"] >= first and (last is None or chapter["end"] < last)
        if begins < ends or is_point:
            cut.append({**chapter, "start": begins - first, "end": ends - first})
    return tuple(cut)
