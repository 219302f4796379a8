"""The page and the metrics have the same limits: each claim is tried at both, over real sockets."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import numpy as np
import pytest

from runtime.media.frame import Frame
from runtime.sinks.page.sink import PageSink
from runtime.telemetry.health import Health
from runtime.telemetry.http_server import HttpServer, Limits
from runtime.telemetry.prometheus import metrics_server
from tests.patience import PATIENCE, wait_for
from tests.runtime.sources.watching import open_descriptors


class Place:
    """A running server, and a path that it answers."""

    def __init__(self, port: int, path: bytes) -> None:
        self.port, self.path = port, path

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.settimeout(PATIENCE)
        return client

    def connect_narrowly(self) -> socket.socket:
        """A connection in which few kilobytes find room before the client reads them."""
        client = socket.socket()
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        client.connect(("127.0.0.1", self.port))
        return client

    def exchange(self, text: bytes) -> bytes:
        with self.connect() as client:
            with suppress(ConnectionError):
                client.sendall(text)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def get(self, *lines: bytes, after: bytes = b"") -> bytes:
        """The answer to a request with these header lines, on a connection that stays open otherwise."""
        return self.exchange(b"\r\n".join([b"GET %s HTTP/1.1" % self.path, *lines, b"", after]))

    def status(self) -> bytes:
        return self.get(b"Host: localhost", b"Connection: close")[:12]


@pytest.fixture(params=["page", "metrics"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    health = Health("camera")
    with ExitStack() as held:
        if request.param == "metrics":
            url = held.enter_context(metrics_server(("127.0.0.1", 0), [health]))
            path = b"/metrics"
        else:
            sink = PageSink(("127.0.0.1", 0), health, lambda message: None)
            held.callback(sink.abort)
            sink.start("bgr")
            pixels = np.zeros((16, 16, 3), np.uint8)
            sink.write(Frame(pixels, 0, 0, None), Frame(pixels, 0, 0, None))
            url, path = sink.name, b"/state.json"
        yield Place(int(url.split(":")[2].split("/")[0]), path)


def test_idle_connections_neither_block_it_nor_use_up_descriptors(place: Place) -> None:
    before = open_descriptors()
    with ExitStack() as held:
        clients = [held.enter_context(place.connect()) for _ in range(400)]
        for client in clients[::3]:
            with suppress(OSError):
                client.sendall(b"GET ")
        assert place.status() == b"HTTP/1.1 200"
        most = Limits().connections
        wait_for(lambda: open_descriptors() - before < 400 + most + 8, "the end of the oldest connections")


def test_clients_that_do_not_read_do_not_block_it(place: Place) -> None:
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % place.path
    with ExitStack() as held:
        for _ in range(Limits().connections + 1):
            client = held.enter_context(place.connect_narrowly())
            with suppress(ConnectionError):
                client.sendall(request * 200)
        assert place.status() == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "host", [b"127.evil.example", b"127.0.0.1.evil.example:80", b"localhost.evil.example", b"192.0.2.1"]
)
def test_a_web_site_cannot_reach_it_under_its_own_name(place: Place, host: bytes) -> None:
    answer = place.get(b"Host: " + host, b"Connection: close")
    assert answer.startswith(b"HTTP/1.1 403 ") and b"granet_" not in answer and b"state" not in answer


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 60"],
        [b"Content-Length: 0", b"Content-Length: 60"],
        [b"Content-Length: 60", b"Content-Length: 0"],
        [b"Content-Length:60", b"Transfer-Encoding: chunked"],
        [b"Content-Length : 60"],
        [b"Content-Length\t: 60"],
        [b"X: y", b" Content-Length: 60"],
        [b"X: y\rContent-Length: 60"],
        [b"Content-Length: +0"],
        [b"Content-Length: 0x3c"],
        [b"transfer-encoding: identity"],
        [b"Transfer-Encoding: \x0bchunked"],
        [b"Content-Length\x00: 60"],
        [b": 60"],
        [b"no colon at all"],
    ],
    ids=repr,
)
def test_a_body_is_never_taken_for_a_second_request(place: Place, lines: list[bytes]) -> None:
    second = b"GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = place.get(b"Host: localhost", *lines, after=second)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/9.9", b"GET / HTTP/2.0", b"GET / HTTP/1.1 x", b"PUT / HTTP/1.1"]
)
def test_a_request_that_is_refused_is_the_last_one_of_its_connection(place: Place, line: bytes) -> None:
    second = b"GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = place.exchange(line + b"\r\nHost: localhost\r\nContent-Length: 60\r\n\r\n" + second)
    assert answer.count(b"HTTP/1.1 ") == 1 and not answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("line", [b"Content-Length: 0", b"X-Any: \xe9 with a colon: and a tab\t", b"X:"])
def test_a_usual_header_keeps_the_connection(place: Place, line: bytes) -> None:
    second = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % place.path
    assert place.get(b"Host: localhost", line, after=second).count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "flood", [b"X: y\r\n" * 20_000, b"X: " + b"y" * 100_000 + b"\r\n", b"\r\n" * 50_000 + b"GET /"]
)
def test_a_flood_of_headers_is_not_collected(place: Place, flood: bytes) -> None:
    with place.connect() as client:
        with suppress(ConnectionError):
            client.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n" % place.path + flood)
        assert place.status() == b"HTTP/1.1 200"


def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HttpServer(("127.0.0.1", 0), lambda request: None, "test")  # type: ignore[arg-type,return-value]
    try:
        ends: list[socket.socket] = []

        def failing(*arguments: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("socketserver.ThreadingMixIn.process_request", failing)
        for _ in range(Limits().connections + 5):
            ends += (pair := socket.socketpair())
            with pytest.raises(RuntimeError):
                server.process_request(pair[0], None)
        monkeypatch.undo()
        places = [socket.socketpair() for _ in range(Limits().connections)]
        ends += [end for place in places for end in place]
        assert all(server.connections.admit(place[0]) for place in places)
        places[0][1].setblocking(False)
        with pytest.raises(BlockingIOError):  # the first is still open: none had to make room
            places[0][1].recv(1)
    finally:
        server.close()
        for end in ends:
            end.close()
