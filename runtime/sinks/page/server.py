"""The page's HTTP: one HTML file, the picture as a multipart stream, single pictures, figures as JSON.

The standard library's server is enough for a handful of viewers, and an edge box needs no other
package for it. Each viewer has a thread; viewers and connections are limited.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from runtime.sinks.page.pictures import VIEWS, PagePictures, View
from runtime.telemetry.listen import cannot_listen, family_of, is_loopback
from runtime.telemetry.rates import Figures

MOST_VIEWERS = 16
"""Streams at the same time; one more gets 503."""

_MOST_CONNECTIONS = 4 * MOST_VIEWERS
_SILENCE = 10.0
"""Seconds that a viewer may take nothing before the connection is closed."""

_AGAIN = 0.5
"""Seconds until a picture that stands still is sent again: its banner counts, and a page that hears
nothing says that it has no connection."""

_BOUNDARY = "granet-picture"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


class PageServer(ThreadingHTTPServer):
    """Listens from the start; serves once :meth:`serve_forever` is called.

    Args:
        listen: (host, port); port 0 is any that is free.
        figures: gives the figures of the moment.

    Raises:
        UserError: if nothing can listen there.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, listen: tuple[str, int], figures: Callable[[], Figures]) -> None:
        self.address_family = family_of(listen[0])
        self.figures = figures
        self.pictures: PagePictures | None = None
        self.ending = False
        self.viewers = threading.BoundedSemaphore(MOST_VIEWERS)
        self.loopback_only = is_loopback(listen[0])
        self._connections = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        try:
            super().__init__(listen, _Handler)
        except OSError as error:
            raise cannot_listen(*listen, error) from error

    def server_bind(self) -> None:
        """Binds without asking a name server for the host's name, which can take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection, or closes it if there are too many."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that goes away is nothing to tell."""

    def close(self) -> None:
        """Lets the streams end and stops listening."""
        self.ending = True
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "granet-run"
    sys_version = ""
    timeout = _SILENCE

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if not self._is_for_us():
            self._refuse(HTTPStatus.FORBIDDEN)
        elif url.path == "/":
            page = files("runtime.sinks.page").joinpath("page.html").read_bytes()
            self._send("text/html; charset=utf-8", page)
        elif url.path == "/state.json":
            self._send("application/json", json.dumps(self.server.figures().to_dict()).encode())
        elif url.path in ("/stream.mjpg", "/picture.jpg"):
            self._send_picture(url.path, parse_qs(url.query).get("view", ["result"])[-1])
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _send_picture(self, path: str, asked: str) -> None:
        views: dict[str, View] = {view: view for view in VIEWS}
        pictures = self.server.pictures
        if asked not in views:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif pictures is None:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        elif path == "/picture.jpg":
            self._send("image/jpeg", pictures.jpeg(views[asked]))
        elif not self.server.viewers.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            try:
                self._stream(pictures, views[asked])
            finally:
                self.server.viewers.release()

    def _stream(self, pictures: PagePictures, view: View) -> None:
        """Sends the newest picture whenever there is one, for as long as the viewer takes them."""
        # What lies in the kernel's buffer is old by the time that a slow viewer gets it.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**17)
        self.close_connection = True
        self._start(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", None)
        seen = -1
        while not self.server.ending:
            seen = pictures.wait_newer(seen, _AGAIN)
            data = pictures.jpeg(view)
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def _is_for_us(self) -> bool:
        """Keeps a web site from reaching a page on loopback under a name of its own (DNS rebinding)."""
        if not self.server.loopback_only:
            return True
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        return is_loopback(host)

    def _send(self, kind: str, body: bytes) -> None:
        self._start(kind, len(body))
        self.wfile.write(body)

    def _refuse(self, status: HTTPStatus) -> None:
        self._start("text/plain; charset=utf-8", len(status.phrase), status)
        self.wfile.write(status.phrase.encode())

    def _start(self, kind: str, length: int | None, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        with suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True
