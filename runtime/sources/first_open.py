"""Opens an address that may be a file or a live source, within a limit whatever the server does."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from granet.errors import UserError
from runtime.media.closing import Closing

S = TypeVar("S", bound=Closing)

_POLL_INTERVAL = 0.1


def open_in_time(
    open_once: Callable[[], S],
    name: str,
    seconds: float,
    *,
    waiting: Callable[[], None],
    cancelled: threading.Event,
) -> S:
    """Opens a source in a thread of its own, because a read that hangs can only be abandoned.

    Args:
        open_once: opens the source.
        name: display name of the source.
        seconds: limit.
        waiting: called repeatedly.
        cancelled: when set, ends the wait.

    Raises:
        UserError: if the source does not open in time, or the wait is cancelled; and whatever ``open_once``
            raises.
    """
    attempt = _Attempt(open_once)
    deadline = time.monotonic() + seconds
    try:
        while not attempt.done.wait(_POLL_INTERVAL):
            waiting()
            if cancelled.is_set():
                raise UserError(f"{name}: cancelled while waiting for the first frame")
            if time.monotonic() > deadline:
                raise UserError(f"{name}: no frame within {seconds:g} s (--live waits for a live source)")
    except BaseException:
        attempt.abandon()
        raise
    if attempt.error is not None:
        raise attempt.error
    assert attempt.source is not None
    return attempt.source


class _Attempt(Generic[S]):
    def __init__(self, open_once: Callable[[], S]) -> None:
        self.done = threading.Event()
        self.source: S | None = None
        self.error: BaseException | None = None
        self._open, self._lock, self._abandoned = open_once, threading.Lock(), False
        threading.Thread(target=self._run, name="first open", daemon=True).start()

    def abandon(self) -> None:
        """Closes the source as soon as it is open."""
        with self._lock:
            self._abandoned = True
            if self.source is not None:
                self.source.close()

    def _run(self) -> None:
        try:
            source = self._open()
            with self._lock:
                self.source = source
                if self._abandoned:
                    source.close()
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            self.error = error
        finally:
            self.done.set()
