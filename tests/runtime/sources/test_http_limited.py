"""Requests of our own to a server that never finishes its answer."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from runtime.sources.http_answer import http_answer
from runtime.sources.http_limited import end_of_redirects
from tests.patience import PATIENCE


@pytest.mark.parametrize("ask", [http_answer, end_of_redirects])
def test_a_server_that_sends_its_headers_byte_by_byte_is_left(ask: Callable[[str, float], object]) -> None:
    """Each byte begins the timeout of the socket anew."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with listener.accept()[0] as client, suppress(OSError):
                client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ended.wait(0.02):
                    client.sendall(b"x")

        def request() -> None:
            with suppress(OSError):
                ask(f"http://127.0.0.1:{listener.getsockname()[1]}/a.m3u8", 0.5)

        server = threading.Thread(target=drip, daemon=True)
        asking = threading.Thread(target=request, daemon=True)
        server.start()
        asking.start()
        asking.join(PATIENCE)
        is_left = not asking.is_alive()
        ended.set()
        server.join(PATIENCE)
    assert is_left
