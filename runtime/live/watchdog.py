"""Tells systemd that the service has started and is not stuck: the protocol of ``sd_notify(3)``."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress


class Watchdog:
    """Says *ready*, and *alive* again and again, to who supervises the process; to nobody if nobody does.

    Args:
        environment: has ``NOTIFY_SOCKET`` and, if systemd watches, ``WATCHDOG_USEC``.
        clock: seconds that only go forward.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        # Three times within the time that systemd gives.
        self._every = int(environment.get("WATCHDOG_USEC") or 0) / 3e6
        self._due = 0.0

    def ready(self) -> None:
        """The service runs."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """To be called often by what must not be stuck."""
        if self._every and self._clock() >= self._due:
            self._due = self._clock() + self._every
            self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends on purpose."""
        self._send(b"STOPPING=1")

    def _send(self, message: bytes) -> None:
        if not self._path:
            return
        # A name that begins with @ is in the abstract namespace of Linux.
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(message, address)
