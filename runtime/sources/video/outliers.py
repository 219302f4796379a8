"""Timestamps of a file that are far ahead of those before and after them."""

from collections.abc import Callable, Iterable, Iterator

import av

from granet.errors import UserError

MOST = 8
"""Maximum number of damaged timestamps in a row; more of them are a jump of the recording."""

_FAR = 8
"""Periods by which a timestamp must be ahead to be suspected."""


def without_outliers(
    frames: Iterable[av.VideoFrame], step: int, found: Callable[[], None]
) -> Iterator[tuple[av.VideoFrame, int | None]]:
    """The frames with their timestamps; ``None`` for those that are missing or damaged.

    After a jump ahead, frames are held until a timestamp follows that fits those before the jump, which shows
    that the ones between are damaged, or until :data:`MOST` frames show that it is a jump. Otherwise a few
    damaged timestamps would move all frames after them.

    Args:
        frames: the frames in the order in which they are shown.
        step: usual time from one frame to the next, in units of the timestamps.
        found: called for each run of damaged timestamps.
    """
    held: list[av.VideoFrame] = []
    last: int | None = None
    jump = 0
    try:
        for frame in frames:
            pts = frame.pts
            fits = pts is not None and last is not None and last < pts < jump - _FAR * step
            if held and fits:
                found()
                yield from ((each, None) for each in _taken(held))
            if held:
                held.append(frame)
            elif pts is not None and last is not None and pts > last + _FAR * step:
                held, jump = [frame], pts
            else:
                yield frame, pts
                last = last if pts is None else pts
            if len(held) > MOST:
                last = max(each.pts for each in held if each.pts is not None)
                yield from _stamped(held)
    except UserError:
        # The frames before the damage are whole.
        yield from _stamped(held)
        raise
    yield from _stamped(held)


def _taken(held: list[av.VideoFrame]) -> list[av.VideoFrame]:
    """Empties the list."""
    taken = held[:]
    held.clear()
    return taken


def _stamped(held: list[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, int | None]]:
    """Empties the list; the frames keep their timestamps."""
    return ((frame, frame.pts) for frame in _taken(held))
