"""Where a redirect may lead."""

import socket
import threading
from contextlib import suppress

import pytest

from runtime.sources.base import AnswerError
from runtime.sources.rtsp.place import Place


@pytest.mark.parametrize(
    "location",
    [
        "rtsp://[::1/a",
        "rtsp://h\u2100st/a",
        "rtsp:///a",
        "rtsp://camera:x/a",
        # Without its tabs this is a host, and FFmpeg would be sent past the relay to it.
        "rtsp://" + "\t" * 9 + "a@elsewhere/a",
    ],
)
def test_a_redirect_that_is_no_address_is_named(location: str) -> None:
    with pytest.raises(AnswerError, match="is not an address"):
        Place("rtsp://camera/a").follow(location)


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_a_redirect_may_name_only_the_path(scheme: str) -> None:
    place = Place(f"{scheme}://me:secret@camera:99/a")
    place.follow("/b?c")
    assert (place.server, place.path, place.user) == (f"{scheme}://camera:99".encode(), "/b?c", "me:secret")


def test_an_address_in_the_query_of_a_redirect_is_not_its_scheme() -> None:
    place = Place("rtsp://me:secret@camera:99/a")
    place.follow("/b?back=rtsp://elsewhere/")
    assert (place.server, place.path) == (b"rtsp://camera:99", "/b?back=rtsp://elsewhere/")


TLS_1_0 = b"\x03\x01"
HELLO = b"\x02\0\0\x26" + TLS_1_0 + bytes(32) + b"\0\0\x2f\0"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x16" + TLS_1_0 + b"\0\x2a" + HELLO, "offers only TLS 1.0 or 1.1"),
        (b"\x15" + TLS_1_0 + b"\0\x02\x02\x46", "offers only TLS 1.0 or 1.1"),  # alert: protocol version
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", "answers without TLS"),
    ],
)
def test_a_server_without_safe_tls_is_named(answer: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as server:
                server.recv(1000)
                server.sendall(answer)
                with suppress(ConnectionResetError):
                    server.recv(1000)  # until the other side closes

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(AnswerError, match=reason):
            Place(f"rtsps://127.0.0.1:{listener.getsockname()[1]}/a").connect(60.0)


def test_a_password_may_have_any_character() -> None:
    assert Place("rtsp://me:\u20ac%2F!@camera/a").user == "me:%E2%82%AC%2F!"
