"""Pushing to a real RTSP and a real RTMP server: FFmpeg's own, listening on loopback."""

import dataclasses
import itertools
import socket
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sinks.push import connection as push_connection
from runtime.sinks.push.sink import PushSink, is_push
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from tests.media import number_of, numbered

BASE = Fraction(1, 90_000)
INFO = StreamInfo("cam", "camera", live=True, rate=Fraction(25), time_base=BASE, size=(49, 65))
OPTIONS = {"rtsp": {"rtsp_flags": "listen", "listen_timeout": "20"}, "rtmp": {"listen": "1", "timeout": "20"}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(threading.Thread):
    """Accepts one pushed stream, reads ``count`` frames and exits."""

    def __init__(self, url: str, count: int) -> None:
        super().__init__(daemon=True)
        self.frames: list[np.ndarray] = []
        self.size = (0, 0)
        self.error: Exception | None = None
        self._url, self._count = url, count
        self.start()

    def run(self) -> None:
        try:
            with av.open(self._url, options=OPTIONS[self._url.split(":")[0]]) as container:
                for frame in container.decode(video=0):
                    self.size = (frame.height, frame.width)
                    self.frames.append(frame.to_ndarray(format="bgr24"))
                    if len(self.frames) == self._count:
                        return
        except av.FFmpegError as error:
            self.error = error


@pytest.mark.parametrize("protocol", ["rtsp", "rtmp"])
def test_a_push_reconnects_after_an_outage(protocol: str) -> None:
    url = f"{protocol}://127.0.0.1:{free_port()}/live/cam"
    said: list[str] = []
    health = Health("cam")
    sink = PushSink(url, INFO, said.append, health=health, backoff=Backoff(0.1, 0.3))
    sink.start("bgr")

    def send_until(done: object, seconds: float = 25.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():  # type: ignore[operator]
            assert time.monotonic() < deadline, said
            index = int(time.monotonic() * 25)
            sink.write(Frame(numbered(index, 49, 65), index, index * 3600, BASE))
            time.sleep(0.02)

    # Without a server nothing is raised; frames are dropped and counted.
    send_until(lambda: said)
    assert len(said) == 1 and said[0].endswith("retrying until the server is back")
    assert health.snapshot().dropped["sink"] >= 1
    for _ in range(2):
        server = Server(url, count=12)
        send_until(lambda server=server: not server.is_alive())
        assert server.error is None and server.size == (48, 64)
        numbers = [number_of(frame) for frame in server.frames[:12]]
        # The first frame was sent before the connection was established.
        steps = {(b - a) % 14 for a, b in itertools.pairwise(numbers[1:])}
        assert len(numbers) == 12 and steps <= {0, 1, 2, 3}
    sink.abort()
    assert any("sending again" in line for line in said)
    assert health.snapshot().events["sink_fault"] >= 2


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("protocol", ["rtsp", "rtmp"])
def test_a_silent_server_blocks_no_other_thread(
    protocol: str, live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_connection, "SILENCE", 0.5)
    monkeypatch.setattr(push_connection, "OPENING", 0.5)
    said: list[str] = []
    health = Health("cam")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"{protocol}://127.0.0.1:{mute.getsockname()[1]}/live/cam"
        sink = PushSink(url, dataclasses.replace(INFO, live=live), said.append, health=health)
        sink.start("bgr")
        noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)

        def push_all() -> None:
            for index in itertools.count():
                if said:
                    return
                try:
                    sink.write(Frame(np.roll(noise, 7 * index), index, index * 900, BASE))
                except UserError as error:
                    said.append(str(error))
                time.sleep(0.005)

        pusher = threading.Thread(target=push_all)
        pusher.start()
        turns = 0
        while pusher.is_alive():
            time.sleep(0.01)
            turns += 1
        sink.abort()
    rest = "; retrying until the server is back" if live else ""
    assert said[0].endswith(f"no progress for 0.5 s{rest}")
    # This thread kept running while the other one was blocked.
    assert turns > 10
    # No old frame is queued for a server that is not reachable yet.
    assert (health.snapshot().dropped["sink"] > 5) is live


def test_a_file_that_cannot_be_pushed_is_an_error() -> None:
    info = dataclasses.replace(INFO, kind="video", live=False)
    sink = PushSink(f"rtmp://127.0.0.1:{free_port()}/live/cam", info, print, health=Health("file"))
    sink.start("bgr")
    with pytest.raises(UserError, match=r"127\.0\.0\.1.*cannot be written to: Connection refused"):
        for index in range(500):
            sink.write(Frame(numbered(index), index, index * 900, BASE))
    sink.abort()


def test_credentials_are_not_in_the_name_and_other_protocols_are_not_pushed() -> None:
    sink = PushSink("rtmp://me:secret@host/live/key", INFO, print, health=Health("cam"))
    assert sink.name == "rtmp://***@host/live/***"
    assert [is_push(text) for text in ("rtsp://h/x", "rtmps://h/x", "http://h/x", "out.mkv", "file:x")] == [
        True, True, False, False, False,
    ]  # fmt: skip
