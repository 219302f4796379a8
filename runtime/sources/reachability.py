"""Cheap checks whether a server or device is reachable, without opening it."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from runtime.media.ports import DEFAULT_PORTS

_TIMEOUT = 0.5
_INTERVAL = 0.5
_SHORT = 0.05
"""Seconds to wait for a probe, which mostly takes less; otherwise the next check sees its result."""

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
        host, port = parts.hostname, parts.port or DEFAULT_PORTS[scheme]
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
    """Detects, while disconnected, that an unreachable source has become reachable.

    The probe runs in a thread of its own: looking up a name may take half a minute, in which no signal would
    end the program.

    Attributes:
        is_away: whether the source was unreachable at the last probe; ``False`` before the first.
        is_here: whether it was reachable at the last probe; ``False`` before the first.
    """

    def __init__(self, reachable: Callable[[], bool] | None) -> None:
        self._reachable = reachable
        self._next = 0.0
        self._probe: _Probe | None = None
        self.is_away = self.is_here = False

    def forget(self) -> None:
        """Resets the state; call it once a connection is live."""
        self.is_away = self.is_here = False

    def came_back(self, now: float) -> bool:
        """Whether the source was unreachable at the last probe and is reachable now; probes every 0.5 s."""
        if self._reachable is None or (self._probe is None and now < self._next):
            return False
        self._probe = self._probe or _Probe(self._reachable)
        self._probe.join(_SHORT)
        if self._probe.is_alive():
            return False
        was_away, self.is_here = self.is_away, self._probe.found
        self.is_away = not self.is_here
        self._probe, self._next = None, time.monotonic() + _INTERVAL
        return was_away and not self.is_away


class _Probe(threading.Thread):
    """One probe; ``found`` is its result once the thread has ended."""

    def __init__(self, reachable: Callable[[], bool]) -> None:
        super().__init__(name="probe", daemon=True)
        self._reachable = reachable
        self.found = False
        self.start()

    def run(self) -> None:
        self.found = self._reachable()
