"""Whether there is anything to open, found out quickly and without opening it."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_PATIENCE = 0.5
_EVERY = 0.5
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_QUESTIONS = {"rtsp": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", "http": b"HEAD / HTTP/1.0\r\n\r\n"}
"""Any answer will do, a refusal too. Where it would have to be encrypted, a connection is enough."""


def server_probe(url: str) -> Callable[[], bool] | None:
    """A function that says whether the server of ``url`` answers.

    Nothing of the address but host and port is sent.

    Args:
        url: with a scheme that :func:`runtime.sources.url.parse_url` takes.

    Returns:
        ``None`` if the address has no host or no valid port.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    try:
        host, port = parts.hostname, parts.port or _PORTS[scheme]
    except (KeyError, ValueError):
        return None
    if host is None:
        return None
    place = (host, port)
    return lambda: _answers(place, _QUESTIONS.get(scheme, b""))


def host_is_known(url: str) -> bool:
    """Whether the host of an address has an address itself: FFmpeg calls it an input/output error if not."""
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except OSError:
        return False
    return True


def device_probe(path: Path) -> Callable[[], bool]:
    """A function that says whether a device is plugged in."""
    return path.exists


def _answers(place: tuple[str, int], question: bytes) -> bool:
    try:
        with socket.create_connection(place, _PATIENCE) as connection:
            if not question:
                return True
            connection.settimeout(_PATIENCE)
            connection.sendall(question)
            return bool(connection.recv(1))
    except OSError:
        return False


class ReturnWatch:
    """Notices, while there is no connection, that what could not be reached now can."""

    def __init__(self, reachable: Callable[[], bool] | None) -> None:
        self._reachable = reachable
        self._next = 0.0
        self.is_away = False

    def forget(self) -> None:
        """There is a connection."""
        self.is_away = False

    def came_back(self, now: float) -> bool:
        """Whether it was away when it was last asked, and is there now; asks every half second."""
        if self._reachable is None or now < self._next:
            return False
        was_away, self.is_away = self.is_away, not self._reachable()
        self._next = time.monotonic() + _EVERY
        return was_away and not self.is_away
