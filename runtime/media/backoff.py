"""How long to wait before a connection is opened again."""

import random

FIRST, MOST = 1.0, 10.0
"""Seconds: the first wait, and the longest."""

_JITTER = 0.25


class Backoff:
    """Waits that double from ``first`` to ``most``, each a quarter longer or shorter at random.

    The jitter keeps a hundred boxes from coming back to one recorder in the same instant.

    Args:
        first: seconds.
        most: seconds, before jitter.
        rng: where chance comes from; ``None`` for a generator that is seeded by the system.
    """

    def __init__(self, first: float = FIRST, most: float = MOST, rng: random.Random | None = None) -> None:
        self._first, self._most = first, most
        self._rng = rng or random.Random()
        self._next = first

    def wait(self) -> float:
        """Seconds to wait before the next attempt."""
        wait = self._next * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
        self._next = min(self._most, 2 * self._next)
        return wait

    def lived(self, seconds: float) -> None:
        """A connection gave frames for ``seconds``. If that is longer than the first wait, they begin anew.

        So a server that takes every connection and drops it at once is not asked every second.
        """
        if seconds > self._first:
            self._next = self._first
