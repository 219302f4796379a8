"""Exponential back-off with jitter for retries."""

import random

FIRST, MOST = 1.0, 10.0
"""First and longest wait, in seconds."""

_JITTER = 0.25


class Backoff:
    """Waits that double from ``first`` to ``most``, with a random jitter of up to 25% either way.

    The jitter keeps a hundred boxes from reconnecting to one recorder at the same instant.

    Args:
        first: first wait in seconds.
        most: longest wait in seconds, before jitter.
        rng: source of the jitter; ``None`` creates a generator seeded by the system.
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
        """Reports that an attempt worked for ``seconds``; resets the back-off if that exceeds the first wait.

        A server that accepts every connection and drops it at once therefore still backs off.
        """
        if seconds > self._first:
            self.reset()

    def reset(self) -> None:
        """Begins again with the first wait."""
        self._next = self._first
