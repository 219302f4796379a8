"""What a hostile or a picky RTSP server can do."""

import hashlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from granet.errors import UserError
from runtime.sources.allowance import MOST_BYTES, Allowance
from runtime.sources.open import open_source
from runtime.sources.rtsp.relay import Relay
from runtime.sources.video.source import VideoSource
from tests.patience import PATIENCE, wait_for
from tests.runtime.sources.fault_server import PASSWORD, Fake, RtspCamera
from tests.runtime.sources.hostile_rtsp import (
    Answer,
    endless_head,
    endless_picture,
    huge_length,
    many_streams,
    serving,
)
from tests.runtime.sources.hostile_server import grown
from tests.runtime.sources.watching import Watcher, impatient


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (huge_length, "sends an RTSP message of 2,147,483,646 bytes"),
        (many_streams, "sends an RTSP message of .* bytes; at most 65,536 are read"),
        (endless_head, "a head of more than 16,384 bytes"),
        (endless_picture, "sent more than 67,108,864 bytes without a complete packet"),
    ],
)
def test_a_hostile_answer_costs_little_memory_and_is_named(answer: Answer, reason: str) -> None:
    def watch() -> None:
        with pytest.raises(UserError, match=reason):
            VideoSource(address, print)

    with serving(answer) as address:
        assert grown(watch) < 300


def test_a_camera_that_checks_the_address_in_a_digest_is_opened() -> None:
    """The relay's own address is nowhere in a request."""
    heads: list[str] = []
    with RtspCamera(Fake(mode="deny")) as camera:

        def allowed(head: str) -> bool:
            heads.append(head)
            field = dict(re.findall(r'(\w+)="(.*?)"', head))
            uri = head.split(" ")[1]
            secret = hashlib.md5(f"me:cam:{PASSWORD}".encode()).hexdigest()
            place = hashlib.md5(f"{head.split(' ')[0]}:{uri}".encode()).hexdigest()
            wanted = hashlib.md5(f"{secret}:n0nce:{place}".encode()).hexdigest()
            return field.get("uri") == uri and field.get("response") == wanted

        camera.allowed = allowed  # type: ignore[method-assign]
        camera.challenge = 'Digest realm="cam", nonce="n0nce"'
        with Watcher(open_source(camera.url(user=f"me:{PASSWORD}"), print, impatient())) as watcher:
            watcher.wait_for_frames()
    assert heads and all(f"127.0.0.1:{camera.port}/cam" in head.splitlines()[0] for head in heads)
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", "".join(heads))) == {str(camera.port)}


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP"])
def test_a_redirect_after_the_password_is_judged_like_any_other(method: str) -> None:
    with RtspCamera(Fake(mode="deny", redirect_at=method)) as camera:
        camera.fake.location = camera.url("cam")
        with pytest.raises(UserError, match="in a circle"):
            VideoSource(camera.url(user=f"me:{PASSWORD}"), print)
        assert camera.fake.connections < 20


def test_the_password_of_a_camera_is_not_sent_to_another_host() -> None:
    heads: list[str] = []
    with RtspCamera(Fake(mode="deny")) as camera, RtspCamera(Fake(mode="deny")) as other:
        camera.fake.location = other.url().replace("127.0.0.1", "localhost")
        other.allowed = lambda head: heads.append(head) or True  # type: ignore[method-assign, func-returns-value]
        with Watcher(open_source(camera.url(user=f"me:{PASSWORD}"), print, impatient())) as watcher:
            watcher.wait_for_frames()
    assert heads and "Authorization" not in "".join(heads)


def test_a_redirect_to_a_stream_of_the_same_camera_keeps_any_password() -> None:
    said: list[str] = []
    with RtspCamera() as camera:
        camera.fake.location = "/\u00e9"
        with pytest.raises(UserError, match="in a circle"):
            VideoSource(camera.url(user="me:\u20ac"), said.append)


def test_a_ticket_of_tls_does_not_keep_requests_from_the_server(tmp_path: Path) -> None:
    """A server sends it after the handshake, before there is a request."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    both = tmp_path / "both.pem"
    made = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=camera"]
    subprocess.run(
        [*made, "-keyout", str(both), "-out", str(tmp_path / "c")], check=True, capture_output=True
    )
    both.write_bytes(both.read_bytes() + (tmp_path / "c").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as server:
                got.append(server.recv(100))
                server.sendall(b"RTSP/1.0 200 OK\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        url = f"rtsps://127.0.0.1:{listener.getsockname()[1]}/a"
        with Relay(url, (PATIENCE, 1.0), Allowance(MOST_BYTES, None)) as relay:
            own = urlsplit(relay.target)
            with socket.create_connection((own.hostname, own.port)) as client:
                time.sleep(0.3)  # the relay has read the ticket
                client.sendall(f"OPTIONS {relay.target} RTSP/1.0\r\n\r\n".encode())
                client.settimeout(PATIENCE)
                assert client.recv(100) == b"RTSP/1.0 200 OK\r\n\r\n"
    assert got == [f"OPTIONS {url} RTSP/1.0\r\n\r\n".encode()]


def test_the_end_of_a_stream_is_told_to_the_camera_even_if_ffmpeg_reads_no_more() -> None:
    got = b""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"rtsp://127.0.0.1:{listener.getsockname()[1]}/a"
        relay = Relay(url, (PATIENCE, PATIENCE), Allowance(2**40, None))
        with relay, listener.accept()[0] as server:
            own = urlsplit(relay.target)
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12)
                client.connect((own.hostname, own.port))
                client.sendall(f"OPTIONS {relay.target} RTSP/1.0\r\n\r\n".encode())
                server.settimeout(PATIENCE)
                assert server.recv(1000) == f"OPTIONS {url} RTSP/1.0\r\n\r\n".encode()
                server.settimeout(0.5)
                packet = b"$\0\x10\0" + bytes(2**12)
                with pytest.raises(TimeoutError):  # the relay waits for FFmpeg
                    while True:
                        server.sendall(packet)
                client.sendall(f"TEARDOWN {relay.target} RTSP/1.0\r\n\r\n".encode())
            server.settimeout(PATIENCE)
            with suppress(ConnectionResetError):
                while data := server.recv(1000):
                    got += data
    assert got == f"TEARDOWN {url} RTSP/1.0\r\n\r\n".encode()


def test_another_program_cannot_use_the_relay() -> None:
    """It would get the stream, and a relay that writes the password into its requests."""
    heads: list[str] = []
    with RtspCamera(Fake(mode="deny")) as camera:
        camera.allowed = lambda head: heads.append(head) or True  # type: ignore[method-assign, func-returns-value]
        with Relay(camera.url(user=f"me:{PASSWORD}"), (PATIENCE, PATIENCE), Allowance(2**40, None)) as relay:
            own = urlsplit(relay.target)
            for path in ("", "/", "/cam", f"/{'0' * 32}/cam"):
                with socket.create_connection((own.hostname, own.port)) as client:
                    client.settimeout(PATIENCE)
                    login = (
                        'Authorization: Digest username="me", realm="cam", nonce="1", uri="/", response="1"'
                    )
                    client.sendall(
                        f"OPTIONS rtsp://127.0.0.1:{own.port}{path} RTSP/1.0\r\n{login}\r\n\r\n".encode()
                    )
                    with suppress(ConnectionResetError):
                        assert client.recv(100) == b""
            assert not heads
            with socket.create_connection((own.hostname, own.port)) as client:
                client.settimeout(PATIENCE)
                client.sendall(
                    f"OPTIONS {relay.target.replace(own.netloc, own.netloc.rpartition('@')[2])}"
                    " RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()
                )
                assert client.recv(100).startswith(b"RTSP/1.0 200")


def test_a_relay_ends_with_its_connection() -> None:
    with RtspCamera() as camera, Watcher(open_source(camera.url(), print, impatient())) as watcher:
        watcher.wait_for_frames()
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name == "RTSP relay"])
