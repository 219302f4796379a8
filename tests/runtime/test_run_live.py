"""``granet-run`` on a live stream as a process: page, recording and signals together."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.media import number_of, numbered, read_clip

ROOT = Path(__file__).parents[2]


class Camera(BaseHTTPRequestHandler):
    """An MJPEG camera that numbers its frames, 25 a second."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for index in range(100_000):
                data = cv2.imencode(".jpg", numbered(index))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.04)
        except OSError:
            pass

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Run:
    """A process that records and serves the camera."""

    def __init__(self, camera: int, directory: Path, *more: str) -> None:
        self.port = free_port()
        self.err = (directory / "stderr").open("w+b")
        source = f"http://viewer:${{CAMERA_PASSWORD}}@127.0.0.1:{camera}/cam.mjpg"
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.runtime.run_fake", "--model", "fake.onnx", "--input", source,
                "--live", "--serve", f":{self.port}", "--output", "out.mkv", *more,
            ],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), "CAMERA_PASSWORD": "s3cret"},
            stderr=self.err,
        )  # fmt: skip

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
            return bytes(answer.read())

    def wait_for_frames(self, count: int) -> dict[str, object]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.told()
            try:
                state: dict[str, object] = json.loads(self.get("state.json"))
            except (urllib.error.URLError, OSError):
                state = {}
            if int(state.get("frames", 0)) >= count:  # type: ignore[call-overload]
                return state
            time.sleep(0.05)
        raise AssertionError(self.told())

    def told(self) -> str:
        self.err.seek(0)
        return self.err.read().decode()


@pytest.fixture
def run(camera: int, tmp_path: Path) -> Iterator[Run]:
    started = Run(camera, tmp_path)
    yield started
    started.process.kill()
    started.process.wait(20)
    started.err.close()


def test_a_stream_is_shown_and_recorded_until_sigterm(run: Run, tmp_path: Path) -> None:
    state = run.wait_for_frames(40)
    assert state["state"] == "live" and "***@" in str(state["name"])
    picture = cv2.imdecode(np.frombuffer(run.get("picture.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (48, 64, 3)
    # The recording can be found, and is no finished one yet.
    assert (tmp_path / "out.part.mkv").stat().st_size > 0 and not (tmp_path / "out.mkv").exists()
    shown = run.get("") + run.get("state.json")
    commands = Path(f"/proc/{run.process.pid}/cmdline")
    shown += commands.read_bytes() if commands.exists() else b""
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(20) == 130
    told = run.told()
    assert "interrupted; " in told and "Traceback" not in told
    assert "s3cret" not in told and b"s3cret" not in shown
    after = read_clip(tmp_path / "out.mkv")
    numbers = [number_of(frame) for frame in after.frames]
    assert len(numbers) > 20
    # Frames may have been dropped on a busy machine; none is out of order.
    assert all((b - a) % 14 < 8 for a, b in itertools.pairwise(numbers))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "stderr"]


def test_after_sigkill_the_recording_plays_to_its_last_second(run: Run, tmp_path: Path) -> None:
    run.wait_for_frames(60)
    run.process.kill()
    run.process.wait(20)
    times = []
    with av.open(str(tmp_path / "out.part.mkv")) as container, contextlib.suppress(av.FFmpegError):
        times.extend(float(frame.time or 0) for frame in container.decode(video=0))
    # 60 frames at 25 a second are 2.4 s.
    assert times[-1] > 1.4
