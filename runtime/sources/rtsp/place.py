"""Where an RTSP server is, and where it redirects to."""

import re
import socket
import ssl
import string
from urllib.parse import quote, urljoin, urlsplit

from runtime.media.ports import DEFAULT_PORTS
from runtime.sources.base import AnswerError

MOST_REDIRECTS = 5

_SCHEMES = ("rtsp", "rtsps")
_REDIRECT = re.compile(rb"RTSP/\S+\s+3\d\d\b")
_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_OLD_TLS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}
_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
_CONTROL = re.compile(r"[\x00-\x1f]")
"""Characters of which :func:`urlsplit` removes some, but FFmpeg none."""


class Place:
    """The address of a stream; it changes with each redirect.

    Args:
        url: an ``rtsp`` or ``rtsps`` address.

    Attributes:
        user: user and password, percent-encoded, in ASCII; empty if there are none, or the server that they
            are for has redirected to another host.
    """

    def __init__(self, url: str) -> None:
        self._go_to(url)
        self.user = _user_of(urlsplit(url).netloc)
        self._seen = [self._bare]

    @property
    def server(self) -> bytes:
        """The beginning of the address, up to the port, as FFmpeg writes it in a request."""
        return f"{self._scheme}://{self._host_and_port()}".encode()

    @property
    def path(self) -> str:
        """The rest of the address, with the query."""
        return self._path

    def follow(self, location: str) -> None:
        """Goes where the server redirects to.

        Raises:
            AnswerError: if the redirects form a circle, are more than :data:`MOST_REDIRECTS`, or lead to
                another scheme.
        """
        host = self._host
        try:
            # Without the scheme, because urljoin does not know rtsps.
            joined = urljoin(self._bare.removeprefix(f"{self._scheme}:"), location)
            target = location if _HAS_SCHEME.match(location) else f"{self._scheme}:{joined}"
            parts = urlsplit(target)
            if parts.scheme.lower() not in _SCHEMES:
                raise AnswerError(f"the server redirects to {target}, which is not an RTSP address")
            if not parts.hostname or _CONTROL.search(target):
                raise ValueError
            self._go_to(target)
        except ValueError:
            raise AnswerError(f"the server redirects to {location}, which is not an address") from None
        if self._bare in self._seen:
            raise AnswerError("the server redirects in a circle; it has no stream at this address")
        if len(self._seen) > MOST_REDIRECTS:
            raise AnswerError(f"the server redirects more than {MOST_REDIRECTS} times")
        self._seen.append(self._bare)
        named = _user_of(parts.netloc)
        if named or self._host != host:
            self.user = named

    def connect(self, seconds: float) -> socket.socket:
        """Connects to the server.

        Raises:
            OSError: if it cannot be reached within ``seconds``.
            AnswerError: if it has no TLS that is safe.
        """
        plain = socket.create_connection((self._host, self._port), seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._scheme == "rtsp":
            return plain
        # Like FFmpeg, which does not verify certificates by default: most cameras sign their own.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            return context.wrap_socket(plain, server_hostname=self._host)
        except ssl.SSLError as error:
            plain.close()
            if error.reason in _OLD_TLS:
                raise AnswerError(
                    "the server offers only TLS 1.0 or 1.1, which is not secure; update its firmware, or use "
                    "rtsp:// in a network that you trust"
                ) from error
            if error.reason in _NO_TLS:
                raise AnswerError("the server answers without TLS; write rtsp:// or another port") from error
            raise

    def _go_to(self, url: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme.lower()
        self._host, self._port = parts.hostname or "", parts.port or DEFAULT_PORTS[self._scheme]
        self._path = url.partition("://")[2][len(parts.netloc) :]
        self._bare = f"{self._scheme}://{self._host_and_port()}{self._path}"

    def _host_and_port(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"


def _user_of(netloc: str) -> str:
    return quote(netloc.rpartition("@")[0], safe=string.punctuation, errors="surrogateescape")


def is_redirect(start: bytes) -> bool:
    """Whether this is the start line of a response that redirects."""
    return _REDIRECT.match(start) is not None
