"""HTTP requests of our own whose time is limited as a whole.

The timeout of a socket limits each read. A server that sends one byte of its headers every now and then would
hold a request for ever.
"""

import http.client
import socket
import threading
from contextlib import suppress
from http.client import HTTPMessage, HTTPResponse
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener


class Limited(http.client.HTTPConnection):
    """A connection that is cut off once its timeout has passed, whatever has been received by then."""

    def connect(self) -> None:
        """Connects, and begins the time."""
        super().connect()
        assert isinstance(self.timeout, (int, float))
        timer = threading.Timer(self.timeout, _cut_off, (self.sock,))
        timer.daemon = True
        timer.start()


class LimitedTls(Limited, http.client.HTTPSConnection):
    """The same over TLS."""


def _cut_off(connection: socket.socket) -> None:
    with suppress(OSError):
        # Not the method of an SSL socket, which is not made for two threads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(Limited, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(LimitedTls, req)


class _OverHttp(HTTPRedirectHandler):
    """Follows redirections only to other addresses of HTTP."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def end_of_redirects(url: str, seconds: float) -> str:
    """The address where the redirections of ``url`` end.

    Args:
        url: an ``http`` or ``https`` address without credentials.
        seconds: limit of each request.

    Raises:
        OSError, http.client.HTTPException, ValueError: if a request fails.
    """
    request = Request(url, headers={"Range": "bytes=0-0"})
    with build_opener(_Http, _Https, _OverHttp).open(request, timeout=seconds) as end:
        return str(end.geturl())
