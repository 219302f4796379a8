"""``granet-run`` on a live stream as a process: page, recording and signals together."""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.media import number_of, numbered, read_clip
from tests.patience import PATIENCE
from tests.runtime.sources.fault_server import Fake, RtspCamera

ROOT = Path(__file__).parents[3]


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
    """A process that records and serves a source."""

    def __init__(
        self, source: str, directory: Path, *more: str, option: str = "--input", **environment: str
    ) -> None:
        self.port = free_port()
        self.err = (directory / "stderr").open("w+b")
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.runtime.run_fake", "--model", "fake.onnx", option, source,
                *(["--live"] if option == "--input" else []), "--serve", f":{self.port}",
                "--output", "out.mkv", *more,
            ],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), "CAMERA_PASSWORD": "s3cret", **environment},
            stderr=self.err,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    def get(self, path: str, port: int | None = None) -> bytes:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port or self.port}/{path}", timeout=PATIENCE
        ) as answer:
            return bytes(answer.read())

    def wait_for(self, condition: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """The state on the page, as soon as it meets ``condition``."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.told()
            with contextlib.suppress(urllib.error.URLError, OSError):
                state: dict[str, object] = json.loads(self.get("state.json"))
                if condition(state):
                    return state
            time.sleep(0.05)
        raise AssertionError(self.told())

    def wait_for_frames(self, count: int) -> dict[str, object]:
        return self.wait_for(lambda state: int(state["frames"]) >= count)  # type: ignore[call-overload]

    def out(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def told(self) -> str:
        self.err.seek(0)
        return self.err.read().decode()


@contextlib.contextmanager
def running(
    source: str, directory: Path, *more: str, option: str = "--input", **environment: str
) -> Iterator[Run]:
    started = Run(source, directory, *more, option=option, **environment)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate(timeout=PATIENCE)
        started.err.close()


@pytest.fixture
def run(camera: int, tmp_path: Path) -> Iterator[Run]:
    with running(f"http://viewer:${{CAMERA_PASSWORD}}@127.0.0.1:{camera}/cam.mjpg", tmp_path) as started:
        yield started


def test_a_camera_that_is_away_at_first_is_shown_by_page_and_metrics(tmp_path: Path) -> None:
    port = free_port()
    with RtspCamera(Fake(mode="refuse")) as camera, running(
        camera.url(user="me:${CAMERA_PASSWORD}"), tmp_path, "--metrics", f":{port}"
    ) as run:  # fmt: skip
        run.wait_for(lambda state: state["state"] == "connecting" and bool(state["detail"]))
        name = f'granet_state{{state="connecting",stream="rtsp://***@127.0.0.1:{camera.port}/cam"}} 1.0'
        assert name in run.get("metrics", port).decode()
        assert b"<html" in run.get("")
        camera.fake.mode = "serve"
        run.wait_for_frames(5)
        assert 'state="live",stream="rtsp://***@' in run.get("metrics", port).decode()
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == -signal.SIGTERM
        lines = run.told().splitlines()
    # Before the camera was there.
    assert [line.split(":")[0] for line in lines[:2]] == ["metrics", "page"]
    assert "retrying until it responds" in lines[2]
    assert (tmp_path / "out.mkv").exists()


def test_a_stream_is_shown_and_recorded_until_sigterm(run: Run, tmp_path: Path) -> None:
    state = run.wait_for_frames(40)
    assert state["state"] == "live" and "***@" in str(state["name"])
    picture = cv2.imdecode(np.frombuffer(run.get("picture.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (48, 64, 3)
    # The recording exists, but is not finished yet.
    assert (tmp_path / "out.part.mkv").stat().st_size > 0 and not (tmp_path / "out.mkv").exists()
    shown = run.get("") + run.get("state.json")
    commands = Path(f"/proc/{run.process.pid}/cmdline")
    shown += commands.read_bytes() if commands.exists() else b""
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(PATIENCE) == -signal.SIGTERM
    told = run.told()
    assert "interrupted; " in told and "Traceback" not in told
    assert "s3cret" not in told and b"s3cret" not in shown
    after = read_clip(tmp_path / "out.mkv")
    numbers = [number_of(frame) for frame in after.frames]
    assert len(numbers) > 20
    # Frames may have been dropped on a busy machine; none is out of order.
    assert all((b - a) % 14 < 8 for a, b in itertools.pairwise(numbers))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "stderr"]


def test_values_from_the_environment_are_hidden_wherever_they_stand(tmp_path: Path) -> None:
    """In the host, the path, a parameter and a query, before the camera is there, while it runs and after."""
    port = free_port()
    with RtspCamera(Fake(mode="refuse")) as camera:
        camera.fake.session = "rtsp session of /s3cret%2Fpath"
        address = f"rtsp://${{HOST}}:{camera.port}/${{KEY}}/user=me_password=${{KEY}}?pw=${{KEY}}"
        with running(
            address,
            tmp_path,
            "--metrics",
            f"127.0.0.1:{port}",
            "--debug",
            HOST="127.0.0.1",
            KEY="s3cret/path",
        ) as run:
            run.wait_for(lambda state: state["state"] == "connecting" and bool(state["detail"]))
            shown = run.get("state.json") + run.get("") + run.get("metrics", port)
            camera.fake.mode = "serve"
            run.wait_for_frames(5)
            camera.fake.mode = "refuse"
            run.wait_for(lambda state: state["state"] == "reconnecting")
            shown += run.get("state.json") + run.get("") + run.get("metrics", port)
            shown += Path(f"/proc/{run.process.pid}/cmdline").read_bytes()
            run.process.send_signal(signal.SIGTERM)
            assert run.process.wait(PATIENCE) == -signal.SIGTERM
            shown += run.told().encode()
    shown += (tmp_path / "out.mkv").read_bytes()
    assert b"s3cret" not in shown
    assert b"reconnecting: " in shown and f"rtsp://***:{camera.port}/***".encode() in shown
    assert b"session of" in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whatever_the_camera_does_a_signal_ends_the_run_and_nothing_read_is_lost(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Three runs at once, with a working, a silent and a missing camera, stopped at random times."""
    with contextlib.ExitStack() as held:
        rng, runs = random.Random(int(number)), []
        for mode in ("serve", "mute", "refuse"):
            (tmp_path / mode).mkdir()
            camera = held.enter_context(RtspCamera(Fake(rate=50)))
            run = held.enter_context(running(camera.url(), tmp_path / mode, "--json"))
            runs.append((run, camera, mode))
        for run, camera, mode in runs:
            run.wait_for_frames(rng.randrange(20, 50))
            if mode != "serve":
                camera.fake.mode = mode  # type: ignore[assignment]
                run.wait_for(lambda state: state["state"] != "live")
            run.process.send_signal(number)
        for run, _, mode in runs:
            assert run.process.wait(PATIENCE) == -number, run.told()
            told = run.told()
            assert "interrupted; " in told and "could not be written" not in told and "Traceback" not in told
            summary = json.loads(run.out())
            assert summary["frames_in"] == summary["frames_out"] + summary["dropped"]
            after = read_clip(tmp_path / mode / "out.mkv")
            # While the encoder is opened, which takes many frames on a busy machine, it drops some.
            assert 0 < len(after.frames) <= summary["frames_out"]


def test_after_sigkill_the_recording_plays_to_its_last_second(tmp_path: Path) -> None:
    """Three runs at once, each killed at a different time."""
    with contextlib.ExitStack() as held:
        camera = held.enter_context(RtspCamera(Fake(rate=25)))
        runs = []
        for seed in range(3):
            (tmp_path / str(seed)).mkdir()
            runs.append(held.enter_context(running(camera.url(), tmp_path / str(seed))))
        for seed, run in enumerate(runs):
            # The least progress at the time of the kill.
            state = run.wait_for_frames(random.Random(seed).randrange(50, 90))
            run.process.kill()
            run.process.wait(PATIENCE)
            times = []
            path = tmp_path / str(seed) / "out.part.mkv"
            with av.open(str(path)) as container, contextlib.suppress(av.FFmpegError):
                times.extend(float(frame.time or 0) for frame in container.decode(video=0))
            assert times[-1] > int(state["frames"]) / 25 - 1  # type: ignore[call-overload]
