"""Stands between an RTSP server and FFmpeg, which cannot read RTSP through a file of ours.

FFmpeg believes the sizes that a server states, keeps whatever a session description lists, and follows
redirects without end. So it connects to a :class:`Relay` on loopback instead. The relay passes on messages
whose sizes it has checked, counts bytes, and judges redirects.
"""

import errno
import os
import re
import secrets
import select
import socket
import ssl
import threading
import time
from contextlib import suppress

import av

from granet.errors import UserError
from runtime.media.closing import Closing
from runtime.sources.allowance import Allowance
from runtime.sources.rtsp.login import Login
from runtime.sources.rtsp.messages import MOST_HEAD_BYTES, Messages
from runtime.sources.rtsp.place import Place, is_redirect

_CHUNK = 2**16
_BUFFER = 2**17
"""Bytes that may wait for FFmpeg here: what waits is late."""

_POLL_INTERVAL = 0.2
_FIRST_REQUEST = 2.0
"""Seconds for the first request of a connection; FFmpeg sends it at once."""

_LOCATION = re.compile(rb"Location:\s*(.*)", re.IGNORECASE)
_AUTHORIZATION = re.compile(rb"Authorization:", re.IGNORECASE)


class Relay(Closing):
    """One stream of an RTSP server on a port of this machine; it ends when FFmpeg closes its connection.

    Other programs can connect to the port too. They do not know the first step of :attr:`target`, and without
    it nothing reaches the server: neither a request nor the password.

    Args:
        url: the ``rtsp`` or ``rtsps`` address of the stream.
        timeout: seconds (to connect, and for the server to take a request).
        allowance: limits what is read.

    Attributes:
        target: the address for FFmpeg.
        failure: why the relay has ended the connection; ``None`` if it has not.

    Raises:
        av.FFmpegError: if the server cannot be reached, as FFmpeg reports it.
    """

    def __init__(self, url: str, timeout: tuple[float, float], allowance: Allowance) -> None:
        self._place, self._timeout, self._allowance = Place(url), timeout, allowance
        self.failure: Exception | None = None
        self._closed = threading.Event()
        self._server: socket.socket | None = self._connected()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        self._listener.settimeout(_POLL_INTERVAL)
        self._own = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/{secrets.token_hex(16)}"
        self.target = self._own_address()
        threading.Thread(target=self._run, name="RTSP relay", daemon=True).start()

    def close(self) -> None:
        """Accepts no further connection; the present one ends with FFmpeg's."""
        self._closed.set()

    def raise_failure(self) -> None:
        """Raises :attr:`failure`, if there is one."""
        if self.failure is not None:
            raise self.failure

    def _own_address(self) -> str:
        user = f"{self._place.user}@" if self._place.user else ""
        return self._own.replace("://", f"://{user}", 1) + self._place.path

    def _connected(self) -> socket.socket:
        try:
            server = self._place.connect(self._timeout[0])
        except TimeoutError as error:
            raise av.TimeoutError(errno.ETIMEDOUT, "timed out") from error
        except (socket.gaierror, ssl.SSLError, UnicodeError) as error:
            raise av.FFmpegError(errno.EIO, str(error)) from error
        except OSError as error:
            number = error.errno or errno.EIO
            raise av.FFmpegError(number, os.strerror(number)) from error
        server.settimeout(self._timeout[1])
        return server

    def _run(self) -> None:
        try:
            with self._listener:
                while self._server is not None and (client := self._accepted()) is not None:
                    with client:
                        first = self._first_request(client)
                        if first:
                            server, self._server = self._server, None
                            with server:
                                self._serve(client, server, first)
        finally:
            if self._server is not None:
                self._server.close()

    def _accepted(self) -> socket.socket | None:
        while not self._closed.is_set():
            with suppress(TimeoutError):
                client = self._listener.accept()[0]
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                client.settimeout(None)
                return client
        return None

    def _first_request(self, client: socket.socket) -> bytes:
        """The beginning of the first request; empty if it is not FFmpeg's."""
        data, deadline = b"", time.monotonic() + _FIRST_REQUEST
        with suppress(OSError):
            while b"\n" not in data and len(data) < MOST_HEAD_BYTES:
                client.settimeout(max(0.001, deadline - time.monotonic()))
                if not (received := client.recv(_CHUNK)):
                    break
                data += received
        client.settimeout(None)
        uri = data.partition(b" ")[2][: len(self._own)]
        return data if secrets.compare_digest(uri, self._own.encode()) else b""

    def _serve(self, client: socket.socket, server: socket.socket, first: bytes) -> None:
        """Notes a failure before the connection is closed, so that it is known when FFmpeg sees the end."""
        try:
            self._pass_on(client, server, first)
        except (UserError, av.FFmpegError) as error:
            self.failure = error
        except OSError:
            pass  # one of the two has gone, and FFmpeg sees the end

    def _pass_on(self, client: socket.socket, server: socket.socket, first: bytes) -> None:
        """Passes on what either side sends until one of them ends, or a redirect leads elsewhere."""
        requests, responses = Messages(self._to_server), Messages(self._to_client)
        server.sendall(requests.feed(first))
        ready = select.poll()
        ready.register(client, select.POLLIN)
        ready.register(server, select.POLLIN)
        while self._server is None:
            waits = isinstance(server, ssl.SSLSocket) and server.pending() > 0
            found = {server.fileno()} if waits else {descriptor for descriptor, _ in ready.poll()}
            if client.fileno() in found:
                if not (data := client.recv(_CHUNK)):
                    return
                server.sendall(requests.feed(data))
            if server.fileno() in found:
                if (received := _received(server)) is None:
                    continue
                if not received:
                    return
                self._allowance.take(len(received))
                passed = responses.feed(received)
                try:
                    client.sendall(passed)
                except OSError:
                    # FFmpeg has gone; a camera keeps a place for it until it reads its TEARDOWN.
                    while data := client.recv(_CHUNK):
                        server.sendall(requests.feed(data))
                    return

    def _to_server(self, lines: list[bytes]) -> list[bytes]:
        """A request of FFmpeg with the address that the server knows, or FFmpeg's response to one."""
        method, _, rest = lines[0].partition(b" ")
        uri, _, version = rest.partition(b" ")
        if method.startswith(b"RTSP/"):
            return lines
        if uri.startswith(self._own.encode()):
            uri = self._place.server + uri[len(self._own) :]
        login = Login(self._place.user)
        headers = [
            login.rewritten(line, method, uri) if _AUTHORIZATION.match(line) else line
            for line in lines[1:]
            if self._place.user or not _AUTHORIZATION.match(line)
        ]
        return [b" ".join((method, uri, version)), *headers]

    def _to_client(self, lines: list[bytes]) -> list[bytes]:
        """A message of the server; one that redirects leads back to the relay."""
        found = next((match for line in lines[1:] if (match := _LOCATION.match(line))), None)
        if found is None or not is_redirect(lines[0]):
            return lines
        self._place.follow(found[1].strip().decode(errors="surrogateescape"))
        self._server = self._connected()
        own = f"Location: {self._own_address()}".encode(errors="surrogateescape")
        return [lines[0], *(line for line in lines[1:] if not _LOCATION.match(line)), own]


def _received(server: socket.socket) -> bytes | None:
    """The bytes that have arrived from the server; ``None`` if there are none, as after a ticket of TLS.

    Waiting for more would keep FFmpeg's requests from the server.
    """
    timeout = server.gettimeout()
    server.settimeout(0)
    try:
        return server.recv(_CHUNK)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    finally:
        server.settimeout(timeout)
