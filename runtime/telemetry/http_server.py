"""A small HTTP server with limits, for the page and the metrics.

The standard library's server has no limit on connections, on the time that a request may take, or on the
size of its head. This one has, so that no client, slow, silent or hostile, keeps out the others or takes
the descriptors that a camera or a recording needs.
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
_CHUNK = 2**12
_FAREWELL = 1.0
"""Seconds in which what a client still sends is read and thrown away, so that it gets its answer."""

_STREAM_BUFFER = 2**17
"""Bytes in the kernel: what lies there is old by the time that a slow viewer gets it."""

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
    """What clients may take.

    Attributes:
        connections: at the same time; beyond it the one that is silent the longest is closed.
        streams: of them, most that get a stream; one more gets 503.
        head_bytes: of a request line and its headers; more gets 431.
        head_seconds: until the head of a request is complete, from the start of the connection or the
            answer before it.
        send_seconds: that a client may take for an answer, or for one part of a stream.
    """

    connections: int = 64
    streams: int = 16
    head_bytes: int = 2**14
    head_seconds: float = 10.0
    send_seconds: float = 10.0


@dataclass(frozen=True)
class Request:
    """A request that passed all checks; its target is ``path?query``."""

    path: str
    query: str
    headers: Message


@dataclass(frozen=True)
class Response:
    """An answer.

    Attributes:
        kind: content type.
        body: the bytes, or a stream of them that is closed if the client goes away.
        headers: further ones.
    """

    kind: str
    body: bytes | Generator[bytes, None, None]
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: HTTPStatus, **headers: str) -> Response:
    """An answer that is its status and nothing else."""
    return Response("text/plain; charset=utf-8", status.phrase.encode(), status, headers)


class HttpServer(ThreadingTCPServer):
    """Answers ``GET`` and ``HEAD`` from the moment it is made until :meth:`close`.

    A server that listens on loopback answers only requests for a loopback name, so that a web site cannot
    reach it under a name of its own (DNS rebinding). A request with a body is answered, its body is not
    read, and the connection ends.

    Args:
        listen: (host, port); port 0 is any that is free.
        respond: makes the answer; called from several threads.
        name: of the thread that listens.
        limits: on clients.

    Raises:
        UserError: if nothing can listen there.
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
        # Of the address that the name stands for, which is the one that counts.
        self.loopback_only = is_loopback(host)
        self.url = url_of(listen[0], self.port)
        self._closed = False
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening and ends every connection; a second call does nothing."""
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
            # Without descriptors the connection stays in the queue, and would be tried in a tight loop.
            time.sleep(0.05)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection, or closes it if there is no place for it."""
        if self.connections.admit(request):
            super().process_request(request, client_address)
        else:
            self.close_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.release(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not worth a message."""


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "granet-run"
    sys_version = ""
    # What cannot be read is answered with headers, too.
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
            # The time limit of sendall() is one of all that it sends.
            self.connection.settimeout(self.server.limits.send_seconds)
            if isinstance(head, HTTPStatus):
                self.send_error(head)
            elif head:
                self.server.connections.touch(self.connection)
                self.rfile = io.BytesIO(head)
                self.raw_requestline = self.rfile.readline()
                if self.parse_request():
                    self._send(self._response())
            return
        self.close_connection = True

    def _read_head(self) -> bytes | HTTPStatus:
        """The next request up to its empty line; nothing if the client asks for nothing more."""
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
        # The body is not read: what comes after it could not be told from it.
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = self._has_unread = True
        refused = self._refused()
        if refused is not None:
            return refused
        path, _, query = self.path.partition("?")
        try:
            return self.server.respond(Request(path, query, self.headers))
        except Exception:  # noqa: BLE001 - a fault in an answer is the client's to see, and ends no run
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
        """What the base class says of a head that it cannot read."""
        self._has_unread = True
        self._send(refusal(HTTPStatus(code)))

    def handle_expect_100(self) -> bool:
        """No body is wanted."""
        return True

    def finish(self) -> None:
        """Ends the connection so that the client gets its answer."""
        with suppress(OSError):
            super().finish()
            if self._has_unread:
                # To close a connection with unread bytes takes back what was sent.
                self.connection.shutdown(socket.SHUT_WR)
                deadline = time.monotonic() + _FAREWELL
                while (left := deadline - time.monotonic()) > 0:
                    self.connection.settimeout(left)
                    if not self.connection.recv(_CHUNK):
                        break

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""
