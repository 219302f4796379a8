"""Whether a server can be asked now, and how long to wait for its answer."""

import threading
import time
from collections import deque
from collections.abc import Callable

from runtime.engines.base import EngineAwayError
from runtime.media.backoff import Backoff

FIRST_DEADLINE = 30.0
"""Seconds until the first frames must be back: the server may compute something once for their size."""

LEAST_DEADLINE, MOST_DEADLINE = 5.0, 60.0
"""Bounds of the deadline in seconds, as soon as the server's speed is known."""

_TIMES_SLOWEST = 4
_REMEMBERED = 16


class Deadline:
    """Seconds that a frame of one size may take: four times as long as the slowest of the last frames.

    So a slow server is waited for, and one that hangs is noticed soon.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_REMEMBERED)
        self._seconds = FIRST_DEADLINE

    @property
    def seconds(self) -> float:
        """The deadline of the next frame."""
        return self._seconds

    def took(self, seconds: float) -> None:
        """Reports a frame that came back."""
        self._times.append(seconds)
        self._seconds = min(MOST_DEADLINE, max(LEAST_DEADLINE, _TIMES_SLOWEST * max(self._times)))

    def missed(self) -> None:
        """Reports a frame that did not come back in time: the next may take twice as long."""
        self._seconds = min(MOST_DEADLINE, 2 * self._seconds)


class Availability:
    """Remembers that a server is away, so that not every frame waits for it.

    After a failure nobody asks the server until a wait is over, which doubles from failure to failure. Then
    one thread asks, and the others still fail at once.

    Args:
        name: names the server in errors.
        backoff: the waits.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, name: str, backoff: Backoff | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._clock = name, clock
        self._backoff = backoff or Backoff(first=0.5)
        self._lock = threading.Lock()
        self._reason = ""
        self._ask_at = 0.0

    def must_ask(self) -> bool:
        """Whether the caller must ask the server if it is back, before it sends a frame.

        Raises:
            EngineAwayError: if it is away and it is not yet time to ask.
        """
        with self._lock:
            if not self._reason:
                return False
            now = self._clock()
            if now < self._ask_at:
                raise EngineAwayError(f"{self._name}: {self._reason}")
            self._ask_at = now + self._backoff.wait()
            return True

    def is_away(self, reason: str) -> EngineAwayError:
        """Reports a failure; returns the error to raise."""
        with self._lock:
            if not self._reason:
                self._ask_at = self._clock() + self._backoff.wait()
            self._reason = reason
        return EngineAwayError(f"{self._name}: {reason}")

    def is_back(self) -> None:
        """Reports that the server answered."""
        with self._lock:
            if self._reason:
                self._reason = ""
                self._backoff.reset()
