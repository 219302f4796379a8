"""Pushing to a real RTSP and a real RTMP server: FFmpeg's own, listening on loopback."""

import dataclasses
import itertools
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sinks.push import connection as push_connection
from runtime.sinks.push import process as push_process
from runtime.sinks.push.protocols import Target, is_push
from runtime.sinks.push.sink import PushSink
from runtime.sinks.video.encoding import Encoding
from runtime.sources.base import StreamInfo
from runtime.sources.open import open_source
from runtime.telemetry.health import Health
from tests.media import count_of, counted, make_clip, numbered
from tests.patience import PATIENCE
from tests.runtime.sources.hostile_rtsp import serving

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
        self.codec = ""
        self.error: Exception | None = None
        self._url, self._count = url, count
        self.start()

    def run(self) -> None:
        try:
            with av.open(self._url, options=OPTIONS[self._url.split(":")[0]]) as container:
                self.codec = container.streams.video[0].codec_context.name
                for frame in container.decode(video=0):
                    self.size = (frame.height, frame.width)
                    self.frames.append(frame.to_ndarray(format="bgr24"))
                    if len(self.frames) == self._count:
                        return
        except av.FFmpegError as error:
            self.error = error


@contextmanager
def pushed(url: str, info: StreamInfo, say: Say, **more: Any) -> Iterator[PushSink]:
    """A started sink, which leaves no process behind when a test fails."""
    sink = PushSink(url, info, say, **more)
    sink.start("bgr")
    try:
        yield sink
    finally:
        sink.abort()


@pytest.mark.parametrize("protocol", ["rtsp", "rtmp"])
def test_a_push_reconnects_after_an_outage(protocol: str) -> None:
    url = f"{protocol}://127.0.0.1:{free_port()}/live/cam"
    said: list[str] = []
    health = Health("cam")
    with pushed(url, INFO, said.append, health=health, backoff=Backoff(0.1, 0.3)) as sink:
        began, numbers, accepted = time.monotonic(), itertools.count(), list[int]()

        def send_until(done: Callable[[], object]) -> None:
            deadline = time.monotonic() + PATIENCE
            while not done():
                assert time.monotonic() < deadline, said
                number, dropped = next(numbers), health.snapshot().dropped["sink"]
                pts = round((time.monotonic() - began) / BASE)
                sink.write(Frame(counted(number, 49, 65), number, pts, BASE))
                if health.snapshot().dropped["sink"] == dropped:
                    accepted.append(number)
                time.sleep(0.02)

        # Without a server nothing is raised; frames are dropped and counted.
        send_until(lambda: said)
        assert len(said) == 1 and said[0].endswith("retrying until the server is back")
        assert health.snapshot().dropped["sink"] >= 1
        for _ in range(2):
            server = Server(url, count=12)
            send_until(lambda server=server: not server.is_alive())
            assert server.error is None and server.size == (48, 64)
            received = [count_of(frame) for frame in server.frames]
            # Every frame that the sink did not count as dropped arrives, once and in order.
            first = accepted.index(received[0])
            assert received == accepted[first : first + 12]
    assert any("sending again" in line for line in said)
    assert health.snapshot().events["sink_fault"] >= 2


def test_time_runs_no_faster_than_the_clock_while_a_connection_opens(tmp_path: Path) -> None:
    """A server takes such pictures for the future, and drops them."""
    # As if the connection had needed an hour to open, after which the second picture was written.
    stamps = [0, 3600_000, 3600_040, 3600_080]
    clip, sent = tmp_path / "in.nut", tmp_path / "sent.flv"
    with av.open(str(clip), "w", format="nut") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=48, options={"tune": "zerolatency"})
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        for index, pts in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(numbered(index, 48, 64), format="bgr24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    began = time.monotonic()
    with clip.open("rb") as file:
        done = subprocess.run(
            [sys.executable, push_process.__file__], stdin=file, capture_output=True, check=True,
            env={push_process.TARGET: json.dumps([str(sent), "flv", {}])},
        )  # fmt: skip
    passed = time.monotonic() - began
    assert done.stdout == b"+"
    with av.open(str(sent)) as container:
        stamped = [packet for packet in container.demux(video=0) if packet.pts is not None]
        times = [float(packet.pts * packet.time_base) for packet in stamped if packet.pts is not None]
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert 0 <= steps[0] <= passed
    assert steps[1:] == pytest.approx([0.04, 0.04], abs=0.0011)


def test_the_clock_of_a_file_starts_once_its_first_picture_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a slow connection would come in a burst."""
    now, sent = [100.0], list[float]()
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))

    class Connection:
        def __init__(self, *arguments: object, **options: object) -> None:
            self.sending = False

        def write(self, frame: Frame, before: Frame | None) -> None:
            assert self.sending or not sent
            sent.append(now[0])

        def ready(self) -> bool:
            self.sending = now[0] >= 107.0
            return self.sending

        def kill(self) -> None:
            pass

    monkeypatch.setattr("runtime.sinks.push.sink.PushConnection", Connection)
    info = dataclasses.replace(INFO, kind="video", live=False)
    url = "rtmp://127.0.0.1/live/cam"
    with pushed(url, info, print, health=Health("file"), clock=lambda: now[0]) as sink:
        for index in range(6):
            sink.write(Frame(numbered(index), index, 5000 + index * 3600, BASE))
    assert sent[1] - 107.0 == pytest.approx(0.04, abs=0.011)
    assert [b - a for a, b in itertools.pairwise(sent[1:])] == pytest.approx([0.04] * 4)


def test_another_codec_is_pushed_if_the_protocol_carries_it() -> None:
    url = f"rtsp://127.0.0.1:{free_port()}/live/cam"
    encoding = Encoding("hevc", bitrate="800k")
    sink = PushSink(url, INFO, print, health=Health("cam"), backoff=Backoff(0.1, 0.3), encoding=encoding)
    sink.start("bgr")
    server = Server(url, count=5)
    for index in itertools.count():
        sink.write(Frame(numbered(index, 49, 65), index, index * 3600, BASE))
        if not server.is_alive() or index == 1000:
            break
        time.sleep(0.02)
    sink.abort()
    assert server.error is None and server.codec == "hevc" and len(server.frames) == 5
    with pytest.raises(UserError, match="--codec av1: this protocol carries h264 and hevc"):
        PushSink(url, INFO, print, health=Health("cam"), encoding=Encoding("av1"))
    with pytest.raises(UserError, match="--pix-fmt yuv444p: a stream is yuv420p"):
        PushSink(url, INFO, print, health=Health("cam"), encoding=Encoding(pix_fmt="yuv444p"))


def test_a_stop_does_not_wait_for_a_server_that_accepts_and_stays_mute() -> None:
    """Ctrl-C did nothing for 14 seconds, and then the run ended with an error."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/x"
        sink = PushSink(url, dataclasses.replace(INFO, live=False), print, health=Health("cam"))
        sink.start("bgr")
        ended: list[Exception | None] = []

        def push() -> None:
            try:
                for index in range(20):
                    sink.write(Frame(numbered(index, 48, 64), index, index * 3600, BASE))
                sink.finish()
                ended.append(None)
            except UserError as error:
                ended.append(error)

        thread = threading.Thread(target=push, daemon=True)
        thread.start()
        connected, _ = mute.accept()
        with connected:
            sink.release()
            thread.join(PATIENCE)
        assert ended == [None]


def test_a_push_says_that_it_leaves_the_sound_out(tmp_path: Path) -> None:
    said: list[str] = []
    with open_source(str(make_clip(tmp_path / "in.mkv", count=5, sound="aac")), print) as source:
        PushSink("rtsp://127.0.0.1:1/x", source.info, said.append, health=Health("cam")).abort()
    assert said == ["note: rtsp://127.0.0.1:1/x: is pushed without sound"]


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
        noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
        with pushed(url, dataclasses.replace(INFO, live=live), said.append, health=health) as sink:

            def push_all() -> None:
                for index in range(5000):
                    if said and (not live or health.snapshot().dropped["sink"] > 5):
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
    rest = "; retrying until the server is back" if live else ""
    assert said[0].endswith(f"no progress for 0.5 s{rest}")
    # This thread kept running while the other one was blocked.
    assert turns > 10
    # No old frame is queued for a server that is not reachable yet.
    assert (health.snapshot().dropped["sink"] > 5) is live


def test_a_server_that_states_a_huge_answer_takes_no_memory(tmp_path: Path) -> None:
    """Without a limit, FFmpeg holds all that the server sends; with it, it drops the bytes one by one."""
    answered, taken, measured = threading.Event(), threading.Event(), threading.Event()

    def announce(connection: socket.socket, method: str, cseq: str) -> None:
        connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: 2147483646\r\n\r\n".encode())
        answered.set()
        for _ in range(400):
            connection.sendall(bytes(2**20))
        taken.set()
        measured.wait(PATIENCE)  # without the connection the process ends, and its memory is unknown

    clip = make_clip(tmp_path / "a.nut", count=3)
    with serving(announce) as url, clip.open("rb") as file:
        target = json.dumps([url, "rtsp", {"rtsp_transport": "tcp"}])
        process = subprocess.Popen(
            [sys.executable, push_process.__file__], stdin=file, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={push_process.TARGET: target},
        )  # fmt: skip
        assert answered.wait(PATIENCE)
        taken.wait(3)
        # Not ru_maxrss: it begins with the memory of this process.
        status = Path(f"/proc/{process.pid}/status").read_text()
        measured.set()
        process.kill()
        process.wait()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    assert int(peak) < 300 * 1024


def test_a_file_that_cannot_be_pushed_is_an_error() -> None:
    info = dataclasses.replace(INFO, kind="video", live=False)
    url = f"rtmp://127.0.0.1:{free_port()}/live/cam"
    refused = pytest.raises(UserError, match=r"127\.0\.0\.1.*cannot be written to: Connection refused")
    with pushed(url, info, print, health=Health("file")) as sink, refused:
        for index in range(500):
            sink.write(Frame(numbered(index), index, index * 900, BASE))


def test_credentials_are_not_in_the_name_and_other_protocols_are_not_pushed() -> None:
    sink = PushSink("rtmp://me:secret@host/live/key", INFO, print, health=Health("cam"))
    assert sink.name == "rtmp://***@host/live/***"
    assert [is_push(text) for text in ("rtsp://h/x", "rtmps://h/x", "http://h/x", "out.mkv", "file:x")] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["RTMP", "Rtsp"])
def test_ffmpeg_gets_the_scheme_in_lower_case(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def open_connection(target: Target, *arguments: object, **options: object) -> None:
        opened.append(target.url)
        raise UserError("enough")

    monkeypatch.setattr("runtime.sinks.push.sink.PushConnection", open_connection)
    url = f"{scheme}://Host/Live/Key"
    sink = PushSink(url, dataclasses.replace(INFO, live=False), print, health=Health("cam"))
    sink.start("bgr")
    with pytest.raises(UserError, match="enough"):
        sink.write(Frame(np.zeros((48, 64, 3), np.uint8), 0, 0, BASE))
    assert opened == [scheme.lower() + "://Host/Live/Key"]
