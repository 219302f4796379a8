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
from runtime.media.frame import Frame
from runtime.sinks.push import connection as push_connection
from runtime.sinks.push import sink as push
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
    """Takes one pushed stream, ``count`` frames of it, and goes away."""

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
def test_a_server_gets_the_picture_and_gets_it_again_after_it_was_away(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "RETRY", (0.1, 0.3))
    url = f"{protocol}://127.0.0.1:{free_port()}/live/cam"
    said: list[str] = []
    health = Health("cam")
    sink = PushSink(url, INFO, said.append, health=health)
    sink.start("bgr")

    def send_until(done: object, seconds: float = 25.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():  # type: ignore[operator]
            assert time.monotonic() < deadline, said
            index = int(time.monotonic() * 25)
            sink.write(Frame(numbered(index, 49, 65), index, index * 3600, BASE))
            time.sleep(0.02)

    # Nobody is there yet: nothing is raised, frames are dropped and counted.
    send_until(lambda: said)
    assert len(said) == 1 and said[0].endswith("trying again until the server is back")
    assert health.snapshot().dropped["sink"] >= 1
    for _ in range(2):
        server = Server(url, count=12)
        send_until(lambda server=server: not server.is_alive())
        assert server.error is None and server.size == (48, 64)
        numbers = [number_of(frame) for frame in server.frames[:12]]
        # The first was sent before the connection stood.
        steps = {(b - a) % 14 for a, b in itertools.pairwise(numbers[1:])}
        assert len(numbers) == 12 and steps <= {0, 1, 2, 3}
    sink.abort()
    assert any("sending again" in line for line in said)
    assert health.snapshot().events["sink_fault"] >= 2


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("protocol", ["rtsp", "rtmp"])
def test_a_server_that_takes_the_connection_and_says_nothing_stops_nobody_else(
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
    rest = "; trying again until the server is back" if live else ""
    assert said[0].endswith(f"took nothing for 0.5 s{rest}")
    # This thread ran all the while that the other one waited.
    assert turns > 10
    # Nothing old is kept for a server that is not there yet.
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


class Away:
    """Stands for the connection to a server: notes when it is tried, and refuses unless told otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.tries: list[float] = []
        self.said: list[str] = []
        self.answers = False
        monkeypatch.setattr(push, "PushConnection", self._open)

    def _open(self, *arguments: object, **options: object) -> "Away":
        self.tries.append(self.now)
        return self

    sending = True

    def ready(self) -> bool:
        return True

    def write(self, frame: Frame, before: Frame | None) -> None:
        if not self.answers:
            raise ConnectionRefusedError(111, "Connection refused")

    def kill(self) -> None:
        """There is nothing to end."""

    def push(self, seconds: float, rate: int) -> list[float]:
        """Pushes a new stream for so long; when a connection was tried."""
        start, self.tries = self.now, []
        self.go_on(self.sink(), start + seconds, rate)
        return [at - start for at in self.tries]

    def sink(self) -> PushSink:
        url, health = "rtsp://host/x", Health("cam")
        sink = PushSink(url, INFO, self.said.append, health=health, clock=lambda: self.now)
        sink.start("bgr")
        return sink

    def go_on(self, sink: PushSink, until: float, rate: int) -> None:
        while self.now < until:
            sink.write(Frame(numbered(0), 0, round(self.now * 90_000), BASE))
            self.now += 1 / rate


def test_a_hundred_boxes_do_not_come_back_to_one_server_in_the_same_instant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Away(monkeypatch)
    second = [away.push(2.0, rate=100)[1] for _ in range(20)]
    assert all(0.74 <= wait <= 1.27 for wait in second)
    # Twenty waits that are a second each, give or take a quarter: some are apart by a sixth of it at least.
    assert max(second) - min(second) > 0.16


def test_a_server_that_was_back_is_tried_soon_when_it_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(monkeypatch)
    sink = away.sink()
    away.go_on(sink, 60.0, rate=20)
    away.answers = True
    away.go_on(sink, 80.0, rate=20)
    away.answers, away.tries = False, []
    away.go_on(sink, 83.0, rate=20)
    # It is asked again about a second after it was lost, not ten as at the end of the first outage.
    assert away.tries and away.tries[0] - 80.0 <= 1.35


def test_a_server_that_is_away_is_tried_again_ever_more_rarely_and_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Away(monkeypatch)
    tries = away.push(200.0, rate=5)
    # It is said once, not for every attempt.
    assert len(away.said) == 1
    waits = np.diff(tries)
    for wait, expected in zip(waits, [1, 2, 4, 8, *[10] * 100], strict=False):
        assert 0.75 * expected <= wait <= 1.25 * expected + 0.21
    assert len(tries) > 15
