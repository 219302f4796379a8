"""Addresses to listen on: ``[HOST]:PORT``."""

import socket

from granet.app.console import UsageError
from granet.errors import UserError

LOOPBACK = "127.0.0.1"


def parse_listen(text: str) -> tuple[str, int]:
    """(host, port) of ``8080``, ``:8080``, ``0.0.0.0:8080`` or ``[::]:8080``; without a host, loopback.

    Raises:
        UsageError: if it is none of these.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if not port.isdecimal() or not 0 <= int(port) <= 65535 or "/" in host:
        raise UsageError(f"{text}: not an address to listen on; write PORT, or HOST:PORT")
    return host, int(port)


def family_of(host: str) -> socket.AddressFamily:
    """The family of sockets that ``host`` is an address of."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on ``host``."""
    return host in ("localhost", "::1") or host.startswith("127.")


def cannot_listen(host: str, port: int, error: OSError) -> UserError:
    """One line on why nothing can listen there."""
    return UserError(f"{_shown(host)}:{port}: cannot listen there: {error.strerror or error}")


def url_of(host: str, port: int) -> str:
    """The address for a browser."""
    return f"http://{_shown(host)}:{port}/"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
