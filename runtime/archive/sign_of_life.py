"""A sign of life of an attempt whose video does not grow: the recording is measured, or the video decoded."""

import time
from pathlib import Path

EVERY = 30.0
"""Seconds between two signs; far less than :data:`runtime.archive.watch.PATIENCE`."""


class SignOfLife:
    """A file beside the video of an attempt, which grows by a byte now and then.

    Whoever waits for the attempt sees its files grow (:mod:`runtime.archive.watch`), and the storage removes
    them all at its end. A thread of its own would give signs for an attempt that is stuck.

    Args:
        video: path of the video, which need not exist yet.
        every: seconds between two signs.
    """

    def __init__(self, video: Path, every: float = EVERY) -> None:
        self._path = video.with_name(f"{video.stem}.part.alive")
        self._every = every
        self._due = time.monotonic() + every

    def frame(self) -> None:
        """Call it for each frame that was decoded.

        Raises:
            OSError: if the storage is full or gone.
        """
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._every
            with self._path.open("ab") as file:
                file.write(b".")
