"""Do something again and again in the background."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from granet.errors import UserError


@contextmanager
def every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Calls ``action`` every ``seconds`` while the context is open; it may fail, and is then called later."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            with suppress(UserError):
                action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
