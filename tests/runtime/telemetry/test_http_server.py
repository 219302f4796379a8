"""The limits of the server of the page and the metrics, over real sockets on loopback."""

import http.client
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from http import HTTPStatus

import pytest

from runtime.telemetry.http_server import HttpServer, Limits, Request, Response, refusal
from runtime.telemetry.listen import host_of, is_loopback
from tests.patience import PATIENCE, wait_for
from tests.runtime.sources.watching import open_descriptors


class Pages:
    """Responds with the requested path; ``/stream`` never ends, ``/fault`` raises."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.streams = 0
        self._end = threading.Event()

    def __call__(self, request: Request) -> Response:
        self.asked.append(request.path)
        if request.path == "/fault":
            raise RuntimeError("a fault")
        if request.path == "/none":
            return refusal(HTTPStatus.NOT_FOUND)
        if request.path == "/stream":
            return Response("text/plain", self._stream())
        return Response("text/plain", f"{request.path} {request.query}".encode())

    def _stream(self) -> Generator[bytes, None, None]:
        self.streams += 1
        try:
            while True:
                yield b"part"
                self._end.wait(0.01)
        finally:
            self.streams -= 1


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def server(pages: Pages) -> Iterator[HttpServer]:
    made = HttpServer(("127.0.0.1", 0), pages, "test")
    yield made
    made.close()


@pytest.fixture
def impatient(pages: Pages) -> Iterator[HttpServer]:
    made = HttpServer(("127.0.0.1", 0), pages, "test", Limits(head_seconds=0.3, send_seconds=0.3))
    yield made
    made.close()


def connect(server: HttpServer) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    client.settimeout(PATIENCE)
    return client


def all_of(client: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def exchange(server: HttpServer, text: bytes) -> bytes:
    with connect(server) as client:
        client.sendall(text)
        return all_of(client)


def status_of(server: HttpServer, path: str = "/", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_three_hundred_silent_connections_do_not_block_others(server: HttpServer) -> None:
    before = open_descriptors()
    with ExitStack() as held:
        silent = [held.enter_context(connect(server)) for _ in range(300)]
        for client in silent[::2]:
            with suppress(OSError):
                client.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert status_of(server) == 200
        # 300 of them are the clients', and 64 connections the server's.
        assert open_descriptors() - before < 300 + 64 + 8
        assert all(client.fileno() >= 0 for client in silent)


def test_the_most_idle_connection_is_closed_first(server: HttpServer) -> None:
    with ExitStack() as held:
        busy = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        busy.connect()
        first = busy.sock
        for _ in range(10):
            for _ in range(30):
                held.enter_context(connect(server))
            # All of them are accepted once this later one gets a response.
            assert status_of(server) == 200
            busy.request("GET", "/busy")
            assert busy.getresponse().read() == b"/busy "
            assert busy.sock is first
        busy.close()


def test_streams_keep_their_place_and_one_too_many_is_refused(server: HttpServer, pages: Pages) -> None:
    with ExitStack() as held:
        viewers = [held.enter_context(connect(server)) for _ in range(16)]
        for viewer in viewers:
            viewer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: pages.streams == 16, "16 streams")
        assert status_of(server, "/stream") == 503
        for _ in range(200):
            held.enter_context(connect(server))
        assert status_of(server) == 200
        assert pages.streams == 16
        assert all(viewer.recv(4096) for viewer in viewers)
    wait_for(lambda: pages.streams == 0, "the end of the streams, which nobody reads any more")
    assert status_of(server) == 200


def test_a_slow_head_times_out(impatient: HttpServer, pages: Pages) -> None:
    with connect(impatient) as slow:
        answers: list[bytes] = []
        reader = threading.Thread(target=lambda: answers.append(all_of(slow)))
        reader.start()

        def still_open() -> bool:
            with suppress(OSError):
                slow.sendall(b"x")
                return reader.is_alive()
            return False

        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        # Bytes keep arriving: a timeout between two of them would never expire.
        wait_for(lambda: not still_open(), "the end of the slow connection")
        reader.join(PATIENCE)
    assert answers[0].startswith(b"HTTP/1.1 408 ") and pages.asked == []


@pytest.mark.parametrize("sent", [b"", b"GET /once HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_silent_connection_is_closed(impatient: HttpServer, sent: bytes) -> None:
    answer = exchange(impatient, sent)
    assert answer.count(b"HTTP/1.1 ") == bool(sent)


def test_a_viewer_that_reads_nothing_loses_its_stream(impatient: HttpServer, pages: Pages) -> None:
    def big() -> Generator[bytes, None, None]:
        pages.streams += 1
        try:
            while True:
                yield bytes(2**20)
        finally:
            pages.streams -= 1

    impatient.respond = lambda request: Response("text/plain", big())
    with connect(impatient) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: pages.streams == 1)
        wait_for(lambda: pages.streams == 0, "the end of a stream that nobody takes")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:80", 200), ("127.0.0.1:1", 200), ("127.8.9.1", 200),
        ("[::1]:80", 200),
        ("127.evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example:80", 403),
        ("evil.example", 403), ("192.0.2.1", 403), ("[2001:db8::1]", 403), ("0.0.0.0", 403),
        ("evil.example@localhost", 400), ("localhost/evil.example", 400), ("", 400), ("local host", 400),
        ("localhost:80:80", 400), ("[::1", 400), ("localhost, evil.example", 400),
    ],
)  # fmt: skip
def test_on_loopback_only_loopback_names_are_answered(
    server: HttpServer, pages: Pages, host: str, status: int
) -> None:
    assert status_of(server, Host=host) == status
    assert pages.asked == (["/"] if status == 200 else [])


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_exactly_one_host_header_is_required(server: HttpServer, hosts: bytes) -> None:
    answer = exchange(server, b"GET / HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_name_that_only_looks_like_loopback_is_not() -> None:
    assert not is_loopback("127.evil.example") and not is_loopback("127.0.0.1.")
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert host_of("[::1]:8080") == "::1" and host_of("box.local:80") == "box.local"


def test_a_server_for_everybody_answers_to_every_name(pages: Pages) -> None:
    public = HttpServer(("0.0.0.0", 0), pages, "test")
    try:
        assert not public.loopback_only
        assert status_of(public, Host="box.local") == 200
    finally:
        public.close()


@pytest.mark.parametrize(
    ("length", "start"),
    [
        (b"Content-Length: 43", b""),
        (b"Transfer-Encoding: chunked", b"2b\r\n"),
        (b"Content-Length: 0, 43", b""),
    ],
)
def test_a_get_with_a_body_is_answered_once(
    server: HttpServer, pages: Pages, length: bytes, start: bytes
) -> None:
    first, second = (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n" % name for name in (b"first", b"second"))
    answer = exchange(server, first + length + b"\r\n\r\n" + start + second + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1 and answer.endswith(b"/first ")
    assert b"\r\nConnection: close\r\n" in answer
    assert pages.asked == ["/first"]


def test_a_client_gets_its_response_despite_unread_input(server: HttpServer) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n"
    assert exchange(server, head + bytes(10_000_000)).startswith(b"HTTP/1.1 405 ")


def test_requests_on_one_connection_are_answered_in_order(server: HttpServer, pages: Pages) -> None:
    last = b"GET /c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = exchange(
        server, b"".join(b"GET /%c?x HTTP/1.1\r\nHost: localhost\r\n\r\n" % c for c in b"ab") + last
    )
    assert answer.count(b"HTTP/1.1 200 ") == 3 and pages.asked == ["/a", "/b", "/c"]
    assert answer.index(b"/a x") < answer.index(b"/b x") < answer.index(b"/c ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 120 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: endless\r\n" * 50_000,
    ],
)
def test_a_head_that_is_too_large_is_refused(server: HttpServer, pages: Pages, head: bytes) -> None:
    with connect(server) as client:
        with suppress(ConnectionError):
            client.sendall(head)
        assert all_of(client).startswith(b"HTTP/1.1 431 ")
    assert pages.asked == [] and status_of(server) == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"POST / HTTP/1.1", 405), (b"OPTIONS / HTTP/1.1", 405), (b"CONNECT evil.example:80 HTTP/1.1", 405),
        (b"GET http://localhost/ HTTP/1.1", 400), (b"GET", 400), (b"GET / HTTP/9.9", 505),
        (b"GET /none HTTP/1.1", 404), (b"GET /fault HTTP/1.1", 500), (b"GET / HTTP/1.0", 200),
    ],
)  # fmt: skip
def test_bad_paths_and_requests_get_their_status(server: HttpServer, line: bytes, status: int) -> None:
    answer = exchange(server, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    if status == 405:
        assert b"\r\nAllow: GET, HEAD\r\n" in answer


def test_a_head_request_has_the_headers_of_get_and_no_body(server: HttpServer, pages: Pages) -> None:
    end = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = exchange(server, b"HEAD /page" + end)
    assert b"\r\nContent-Length: 6\r\n" in answer and answer.endswith(b"\r\n\r\n")
    assert exchange(server, b"HEAD /stream" + end).endswith(b"\r\n\r\n") and pages.streams == 0


def test_close_ends_connections_of_all_kinds(pages: Pages) -> None:
    threads = threading.active_count()
    server = HttpServer(("127.0.0.1", 0), pages, "test")
    with connect(server) as silent, connect(server) as viewer:
        viewer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: pages.streams == 1)
        server.close()
        server.close()
        assert all_of(silent) == b"" and all_of(viewer).startswith(b"HTTP/1.1 200 ")
    wait_for(lambda: threading.active_count() <= threads, "the end of the server's threads")
