"""When a live source that has lost its connection tries again."""

import math
import random
import time

from runtime.media.backoff import Backoff

POLL = 0.25
"""Seconds between two looks at the connection, or at its absence."""

_AGAIN = (1.0, 1.5)
"""Seconds until the next attempt while the server responds: with its opening, the picture is back in 2 s."""


class Schedule:
    """The time of the next attempt to connect.

    Times are seconds of :func:`time.monotonic`.

    Args:
        backoff: waits between attempts while nothing responds.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._retry_at = time.monotonic()
        self._soon_at = math.inf

    def lost(self, now: float, lived: float | None, *, may_be_soon: bool) -> None:
        """Plans the next attempt after a connection has ended.

        Args:
            now: the current time.
            lived: seconds that the connection worked; ``None`` if it never did.
            may_be_soon: whether a server that responds may be asked again without the back-off.
        """
        if lived is not None:
            self._backoff.lived(lived)
        self.postpone(now)
        self._soon_at = now + random.uniform(*_AGAIN) if may_be_soon else math.inf

    def postpone(self, now: float) -> None:
        """Plans the next attempt with the back-off."""
        self._retry_at = now + self._backoff.wait()

    def is_due(self, now: float, *, responds: bool) -> bool:
        """Whether to try now.

        Args:
            now: the current time.
            responds: whether the server responds; then its stream may be back at any moment.
        """
        return now >= (min(self._retry_at, self._soon_at) if responds else self._retry_at)

    def next_look(self, now: float) -> float:
        """Seconds until :meth:`is_due` should be asked again."""
        return min(POLL, max(0.0, self._retry_at - now))
