"""Addresses to listen on: ``[HOST]:PORT``."""

import re
import socket
from ipaddress import ip_address
from typing import Annotated

import typer

from granet.app.console import UsageError
from granet.errors import UserError

LOOPBACK = "127.0.0.1"

Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST]:PORT", help=f"Serve Prometheus metrics at /metrics (default host: {LOOPBACK})."
    ),
]
"""The option ``--metrics``; :func:`parse_listen` reads its value."""

_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")


def parse_listen(text: str, option: str | None = None) -> tuple[str, int]:
    """Parses ``8080``, ``:8080``, ``0.0.0.0:8080`` or ``[::]:8080`` to (host, port); the default is loopback.

    Args:
        text: the address.
        option: the option or setting that it was given with, for the error.

    Raises:
        UsageError: if the text has another form.
    """
    host, _, port = text.rpartition(":")
    where = "" if option is None else f"{option} "
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if not (port.isascii() and port.isdecimal()) or not 0 <= int(port) <= 65535 or "/" in host:
        raise UsageError(
            f"{where}{text}: not an address to listen on; write PORT or HOST:PORT, with a port up to 65535"
        )
    return host, int(port)


def family_of(host: str) -> socket.AddressFamily:
    """The socket address family of ``host``."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    """Whether ``host`` is ``localhost`` or an address that only this machine can reach.

    No other name counts as loopback, whatever it looks like (``127.evil.example``).
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str | None:
    """The host in a ``Host`` header, without port and brackets; ``None`` if the header is not valid."""
    match = _HOST.fullmatch(header.strip())
    return match and (match["six"] or match["name"])


def cannot_listen(host: str, port: int, error: OSError) -> UserError:
    """The error for an address that cannot be listened on."""
    return UserError(f"{_shown(host)}:{port}: cannot listen on this address: {error.strerror or error}")


def url_of(host: str, port: int) -> str:
    """The URL to open in a browser."""
    return f"http://{_shown(host)}:{port}/"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
