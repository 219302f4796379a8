"""Pushing over WHIP: to a server made of aiortc, and to servers that refuse."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sinks.push.protocols import Target
from runtime.sinks.push.sink import PushSink
from runtime.sinks.video.encoding import Encoding
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from tests.media import number_of, numbered
from tests.patience import PATIENCE

pytest.importorskip("cryptography", reason="WHIP needs a certificate")

BASE = Fraction(1, 90_000)
INFO = StreamInfo("cam", "camera", live=True, rate=Fraction(25), time_base=BASE, size=(240, 320))
HOST = "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
"""A candidate that never answers: without any, aiortc does not wait for the client's."""


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Any], tuple[int, bytes]]], str]]:
    """Starts a server that answers each POST; gives its address with the scheme whip."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[Any], tuple[int, bytes]]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = answer(self)
                self.send_response(status)
                self.send_header("Content-Type", "application/sdp")
                self.send_header("Location", "/session")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_DELETE(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"whip://127.0.0.1:{server.server_port}/whip"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class WebRtc:
    """Answers offers with aiortc and keeps the first pictures."""

    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []
        self.tokens: list[str | None] = []
        self._loop = asyncio.new_event_loop()
        self._peers: list[Any] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def answer(self, request: Any) -> tuple[int, bytes]:
        self.tokens.append(request.headers["Authorization"])
        offer = request.rfile.read(int(request.headers["Content-Length"])).decode() + HOST
        return 201, self._run(self._answered(offer)).encode()

    def close(self) -> None:
        for peer in self._peers:
            self._run(peer.close())
        self._run(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(20)

    async def _answered(self, offer: str) -> str:
        import aiortc

        peer = aiortc.RTCPeerConnection()
        self._peers.append(peer)
        peer.on("track", lambda track: asyncio.ensure_future(self._take(track)))
        await peer.setRemoteDescription(aiortc.RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    async def _take(self, track: Any) -> None:
        while len(self.pictures) < 10:
            self.pictures.append((await track.recv()).to_ndarray(format="bgr24"))


def test_a_webrtc_server_gets_the_pictures(serve: Callable[..., str]) -> None:
    pytest.importorskip("aiortc", reason="the server of this test")
    server = WebRtc()
    address = serve(server.answer).replace("://", "://:top%2Fsecret@")
    sink = PushSink(address, INFO, print, health=Health("cam"), backoff=Backoff(0.1, 0.3))
    assert "secret" not in sink.name
    sink.start("bgr")
    deadline = time.monotonic() + PATIENCE
    for index in range(10_000):
        sink.write(Frame(numbered(index, 240, 320), index, index * 3600, BASE))
        if len(server.pictures) >= 10 or time.monotonic() > deadline:
            break
        time.sleep(0.04)  # a live stream has its pace
    sink.finish()
    server.close()
    numbers = [number_of(picture) for picture in server.pictures]
    assert len(numbers) == 10
    # The first picture was sent before the connection was established.
    assert [(b - a) % 14 for a, b in pairwise(numbers[1:])] == [1] * 8
    assert server.tokens[0] == "Bearer top/secret"


@pytest.mark.parametrize(("status", "says"), [(401, "401"), (404, "404"), (500, "5XX|500|Server")])
def test_a_server_that_refuses_is_one_line(serve: Callable[..., str], status: int, says: str) -> None:
    address = serve(lambda request: (status, b""))
    sink = PushSink(address, dataclasses.replace(INFO, live=False), print, health=Health("cam"))
    sink.start("bgr")
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:\d+/whip: cannot be written to: .*({says})"):
        for index in range(500):
            sink.write(Frame(numbered(index, 240, 320), index, index * 900, BASE))
    sink.abort()


def test_whip_carries_h264_only(serve: Callable[..., str]) -> None:
    with pytest.raises(UserError, match="--codec hevc: this protocol carries h264"):
        PushSink("whip://host/x", INFO, print, health=Health("cam"), encoding=Encoding("hevc"))
    assert Target.of("WHIPS://:a%40b@host:1/x").url == "https://host:1/x"
    assert Target.of("whips://:a%40b@host/x").options == {"authorization": "a@b"}
