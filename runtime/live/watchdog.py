"""Notifies systemd that the service has started and is alive, with the protocol of ``sd_notify(3)``."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from granet.app.environment import whole_number


class Watchdog:
    """Sends *ready*, *alive* and *stopping* to the service manager; does nothing without one.

    Args:
        environment: contains ``NOTIFY_SOCKET`` and, if the watchdog is on, ``WATCHDOG_USEC``.
        clock: returns monotonic seconds.

    Raises:
        UserError: if ``WATCHDOG_USEC`` is not a number.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        # Three times per timeout of systemd.
        self._every = whole_number("WATCHDOG_USEC", 0, environment) / 3e6
        self._due = 0.0

    def ready(self) -> None:
        """Reports that the service has started."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """Reports that the service is alive; call it often from the loop that must not hang."""
        if self._every and self._clock() >= self._due:
            self._due = self._clock() + self._every
            self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Reports that the service is stopping on purpose."""
        self._send(b"STOPPING=1")

    def _send(self, message: bytes) -> None:
        if not self._path:
            return
        # A name that begins with @ is in Linux's abstract namespace.
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)  # systemd may be too busy to read
            channel.sendto(message, address)
