"""Cheap checks whether a server or device is reachable, without opening it."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_TIMEOUT = 0.5
_INTERVAL = 0.5
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_REQUESTS = {"rtsp": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", "http": b"HEAD / HTTP/1.0\r\n\r\n"}
"""Any response counts, even an error. For encrypted schemes a TCP connection is enough."""


def server_probe(url: str) -> Callable[[], bool] | None:
    """Creates a function that checks whether the server of ``url`` responds.

    It uses only host and port and sends no other part of the address.

    Args:
        url: an address with a scheme that :func:`runtime.sources.url.parse_url` supports.

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
    return lambda: _responds(place, _REQUESTS.get(scheme, b""))


def host_is_known(url: str) -> bool:
    """Whether the host of an address resolves; FFmpeg reports an unknown host as an input/output error."""
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except OSError:
        return False
    return True


def device_probe(path: Path) -> Callable[[], bool]:
    """Creates a function that checks whether a device is plugged in."""
    return path.exists


def _responds(place: tuple[str, int], request: bytes) -> bool:
    try:
        with socket.create_connection(place, _TIMEOUT) as connection:
            if not request:
                return True
            connection.settimeout(_TIMEOUT)
            connection.sendall(request)
            return bool(connection.recv(1))
    except OSError:
        return False


class ReturnWatch:
    """Detects, while disconnected, that an unreachable source has become reachable."""

    def __init__(self, reachable: Callable[[], bool] | None) -> None:
        self._reachable = reachable
        self._next = 0.0
        self.is_away = False

    def forget(self) -> None:
        """Resets the state; call it once a connection is live."""
        self.is_away = False

    def came_back(self, now: float) -> bool:
        """Whether the source was unreachable at the last probe and is reachable now; probes every 0.5 s."""
        if self._reachable is None or now < self._next:
            return False
        was_away, self.is_away = self.is_away, not self._reachable()
        self._next = time.monotonic() + _INTERVAL
        return was_away and not self.is_away
