"""How tests wait for something that must happen."""

import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds: far more than anything takes on the slowest machine, so that only what hangs fails."""


def wait_for(condition: Callable[[], object], what: str = "") -> None:
    """Waits until ``condition`` holds; fails the test if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)
