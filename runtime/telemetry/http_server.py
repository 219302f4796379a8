"""A small HTTP server with limits, for the page and the metrics.

The standard library's server does not limit the number of connections, the duration of a request or the
size of its head. This one does, so that a slow, silent or hostile client cannot lock out the others or use
up the file descriptors that a camera or a recording needs.
"""

import io
import re
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from runtime.telemetry.connection_limit import ConnectionLimit
from runtime.telemetry.listen import cannot_listen, family_of, host_of, is_loopback, url_of

_METHODS = ("GET", "HEAD")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r?")
"""RFC 9112: no space before the colon, no continued line, no control character. Whoever reads such a line in
another way sees another end of the request, and takes its body for the next one."""

_CHUNK = 2**12
_DISCARD_SECONDS = 1.0
"""Seconds for which unread input of a client is discarded, so that the client receives its response."""

_STREAM_BUFFER = 2**17
"""Size of the kernel's send buffer in bytes; a large one would show a slow viewer old frames."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


@dataclass(frozen=True)
class Limits:
    """Limits on clients.

    Attributes:
        connections: maximum number of open connections; beyond it the most idle one is closed.
        streams: maximum number of streams among them; one more gets status 503.
        head_bytes: maximum size of the request line and headers; a larger head gets status 431.
        head_seconds: timeout for a complete request head, from the start of the connection or the end
            of the previous response.
        send_seconds: timeout for sending a response or one part of a stream.
    """

    connections: int = 64
    streams: int = 16
    head_bytes: int = 2**14
    head_seconds: float = 10.0
    send_seconds: float = 10.0


@dataclass(frozen=True)
class Request:
    """A request that passed all checks; its target was ``path?query``."""

    path: str
    query: str
    headers: Message


@dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
        kind: content type.
        body: the bytes, or a generator of them, which is closed when the client disconnects.
        status: HTTP status.
        headers: additional headers.
    """

    kind: str
    body: bytes | Generator[bytes, None, None]
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: HTTPStatus, **headers: str) -> Response:
    """A response that contains only its status."""
    return Response("text/plain; charset=utf-8", status.phrase.encode(), status, headers)


class HttpServer(ThreadingTCPServer):
    """Serves ``GET`` and ``HEAD`` from its construction until :meth:`close`.

    A server that listens on loopback accepts only requests whose ``Host`` is a loopback name, so that a web
    site cannot reach it by DNS rebinding. If a request has a body, the server responds without reading the
    body and closes the connection.

    Args:
        listen: (host, port); port 0 picks a free port.
        respond: makes the response; called from several threads.
        name: name of the listening thread.
        limits: limits on clients (default: :class:`Limits`).

    Raises:
        UserError: if the address cannot be listened on.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        listen: tuple[str, int],
        respond: Callable[[Request], Response],
        name: str,
        limits: Limits | None = None,
    ) -> None:
        self.address_family = family_of(listen[0])
        self.respond = respond
        self.limits = limits or Limits()
        self.connections = ConnectionLimit(self.limits.connections, self.limits.streams)
        try:
            super().__init__(listen, _Handler)
        except OSError as error:
            raise cannot_listen(*listen, error) from error
        host, self.port = self.socket.getsockname()[:2]
        # Check the address that the name resolved to, not the name.
        self.loopback_only = is_loopback(host)
        self.url = url_of(listen[0], self.port)
        self._closed = False
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening and closes every connection; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.shutdown()
        self.server_close()
        self.connections.cut_off_all()
        self._thread.join()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accepts a connection."""
        try:
            return super().get_request()
        except OSError:
            # Out of descriptors: the connection stays in the queue and would be retried in a tight loop.
            time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection, or closes it if the limit does not allow it."""
        if not self.connections.admit(request):
            self.close_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started; the base class closes the connection
            self.connections.release(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.release(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stays silent: a disconnected client is not worth a message."""


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "granet-run"
    sys_version = ""
    # A malformed request gets a response with headers, too.
    default_request_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._waiting = b""
        self._has_unread = False
        self.command, self.requestline, self.request_version = "", "", self.default_request_version

    def handle_one_request(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            head = self._read_head()
            # The timeout of sendall() covers everything that it sends.
            self.connection.settimeout(self.server.limits.send_seconds)
            if isinstance(head, HTTPStatus):
                self.send_error(head)
            elif head and not all(_HEADER.fullmatch(line) for line in head.strip().split(b"\n")[1:]):
                self.send_error(HTTPStatus.BAD_REQUEST)
            elif head:
                self.server.connections.touch(self.connection)
                self.rfile = io.BytesIO(head)
                self.raw_requestline = self.rfile.readline()
                if self.parse_request():
                    self._send(self._response())
            return
        self.close_connection = True

    def _read_head(self) -> bytes | HTTPStatus:
        """Reads the next request up to its empty line; empty if the client sends no more requests."""
        limits = self.server.limits
        deadline = time.monotonic() + limits.head_seconds
        while True:
            self._waiting = self._waiting.lstrip(b"\r\n")
            end = _END_OF_HEAD.search(self._waiting)
            if (end.end() if end else len(self._waiting)) > limits.head_bytes:
                return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            if end:
                head, self._waiting = self._waiting[: end.end()], self._waiting[end.end() :]
                return head
            left = deadline - time.monotonic()
            self.connection.settimeout(max(left, 0.001))
            try:
                data = self.connection.recv(_CHUNK) if left > 0 else None
            except TimeoutError:
                data = None
            if not data:
                return HTTPStatus.REQUEST_TIMEOUT if data is None and self._waiting else b""
            self._waiting += data

    def _response(self) -> Response:
        # The body is not read, so a request after it could not be separated from it.
        lengths = set(self.headers.get_all("Content-Length", []))
        if not lengths <= {"0"} or "Transfer-Encoding" in self.headers:
            self.close_connection = self._has_unread = True
        refused = self._refused()
        if refused is not None:
            return refused
        path, _, query = self.path.partition("?")
        try:
            return self.server.respond(Request(path, query, self.headers))
        except Exception:  # noqa: BLE001 - a failing response must not end the run; the client sees it
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _refused(self) -> Response | None:
        if self.command not in _METHODS:
            self.close_connection = self._has_unread = True
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, Allow=", ".join(_METHODS))
        names = self.headers.get_all("Host", [])
        host = host_of(names[0]) if len(names) == 1 else None
        if host is None or not self.path.startswith("/"):
            return refusal(HTTPStatus.BAD_REQUEST)
        if self.server.loopback_only and not is_loopback(host):
            return refusal(HTTPStatus.FORBIDDEN)
        return None

    def _send(self, response: Response) -> None:
        if isinstance(response.body, bytes):
            self._start(response, len(response.body))
            if self.command != "HEAD":
                self.wfile.write(response.body)
            return
        with closing(response.body) as parts:
            self.close_connection = True
            if self.command == "HEAD":
                self._start(response, None)
            elif self.server.connections.hold(self.connection):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_BUFFER)
                self._start(response, None)
                for part in parts:
                    self.wfile.write(part)
            else:
                self._send(refusal(HTTPStatus.SERVICE_UNAVAILABLE))

    def _start(self, response: Response, length: int | None) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        for name, value in {**_HEADERS, **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Sends the errors that the base class finds while it parses a head; where it ends is uncertain."""
        self.close_connection = self._has_unread = True
        self._send(refusal(HTTPStatus(code)))

    def handle_expect_100(self) -> bool:
        """Sends no ``100 Continue``: bodies are not read."""
        return True

    def finish(self) -> None:
        """Closes the connection in a way that lets the client receive its response."""
        with suppress(OSError):
            super().finish()
            if self._has_unread:
                # Closing a socket with unread input resets it and can discard the response.
                self.connection.shutdown(socket.SHUT_WR)
                deadline = time.monotonic() + _DISCARD_SECONDS
                while (left := deadline - time.monotonic()) > 0:
                    self.connection.settimeout(left)
                    if not self.connection.recv(_CHUNK):
                        break

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""
