"""Faults of cameras and networks, reproduced by servers on loopback with several seeds each."""

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.sources.open import open_source
from runtime.sources.reachability import server_probe
from tests.media import make_clip, number_of
from tests.patience import PATIENCE, wait_for
from tests.runtime.sources.fault_server import PASSWORD, Fake, HttpCamera, RtspCamera
from tests.runtime.sources.watching import NEVER, Watcher, impatient, steady

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])
SERVERS = pytest.mark.parametrize(("server", "path"), [(RtspCamera, "cam"), (HttpCamera, "mjpeg")])


def patient_backoff() -> Backoff:
    """Waits so long that only another event can end the wait."""
    return Backoff(NEVER, NEVER)


def watch(camera: RtspCamera | HttpCamera, path: str = "cam", **options: object) -> Watcher:
    said: list[str] = []
    source = open_source(camera.url(path), said.append, steady(said, **options))
    watcher = Watcher(source)
    watcher.said = said  # type: ignore[attr-defined]
    return watcher


def is_rising(watcher: Watcher) -> bool:
    return all(a < b for a, b in pairwise(watcher.times()))


@SEEDS
@SERVERS
def test_a_dropped_connection_is_opened_again(server: type, path: str, seed: int) -> None:
    rng = random.Random(seed)
    with server() as camera, watch(camera, path) as watcher:
        for _ in range(2):
            watcher.wait_for_frames(rng.randrange(2, 8))
            camera.drop()
            watcher.wait_for_state("reconnecting")
            watcher.wait_for_state("live")
        watcher.wait_for_frames()
        snapshot = watcher.source.health.snapshot()
        assert snapshot.events["reconnect"] == snapshot.transitions["reconnecting"] == 2
        # A new connection restarts at zero, which is not a fault of the camera.
        assert is_rising(watcher) and snapshot.events["timestamp_repair"] == 0
        lines = watcher.said  # type: ignore[attr-defined]
        assert sum(": reconnecting" in line for line in lines) == 2
        assert sum("live again after" in line for line in lines) == 2


@SEEDS
def test_a_stall_that_ends_by_itself_is_not_a_reconnection(seed: int) -> None:
    rng = random.Random(seed)
    with RtspCamera() as camera, watch(camera, stalled_after=0.25) as watcher:
        watcher.wait_for_frames(rng.randrange(2, 8))
        camera.fake.mode = "stall"
        watcher.wait_for_state("stalled")
        if seed == 0:
            wait_for(lambda: watcher.source.health.banner() is not None)
        camera.fake.mode = "serve"
        watcher.wait_for_frames()
        watcher.wait_for_state("live")
        assert watcher.source.health.snapshot().events["reconnect"] == 0 and camera.fake.started == 1


@SEEDS
@SERVERS
def test_a_camera_that_goes_mute_is_opened_again(server: type, path: str, seed: int) -> None:
    rng = random.Random(seed)
    with server() as camera, watch(camera, path, reopen_after=0.6, open_within=1.5) as watcher:
        watcher.wait_for_frames(rng.randrange(2, 8))
        camera.fake.mode = "mute"
        watcher.wait_for_state("reconnecting")
        camera.fake.mode = "serve"
        camera.drop()
        watcher.wait_for_frames()
        watcher.wait_for_state("live")
        assert is_rising(watcher)


@pytest.mark.parametrize("mode", ["refuse", "mute"])
def test_a_camera_that_is_not_there_yet_is_waited_for_and_that_is_said(mode: str) -> None:
    said: list[str] = []
    with RtspCamera(Fake(mode=mode)) as camera:  # type: ignore[arg-type]

        def come() -> None:
            wait_for(lambda: said)
            camera.fake.mode = "serve"
            camera.drop()

        thread = threading.Thread(target=come)
        thread.start()
        source = open_source(camera.url(user=f"me:{PASSWORD}"), said.append, impatient(said, open_within=0.4))
        thread.join()
        with Watcher(source) as watcher:
            watcher.wait_for_frames()
    assert "retrying until it responds" in said[0] and "***@127.0.0.1" in said[0]
    assert PASSWORD not in "".join(said)


@pytest.mark.parametrize("mode", ["refuse", "mute", "deny"])
def test_a_camera_that_never_comes_is_given_up_if_asked_to(mode: str) -> None:
    said: list[str] = []
    with (
        RtspCamera(Fake(mode=mode)) as camera,
        pytest.raises(UserError, match=r"given up after 0\.6 s") as error,
    ):  # type: ignore[arg-type]
        open_source(
            camera.url(user="me:wr0ng"), said.append, impatient(said, open_within=0.3, give_up_after=0.6)
        )
    assert "wr0ng" not in str(error.value) + "".join(said)


def test_a_camera_that_refuses_the_password_says_so() -> None:
    said, cancelled = list[str](), threading.Event()

    def look() -> None:
        if said:
            cancelled.set()

    options = steady(said, waiting=look)
    with RtspCamera(Fake(mode="deny")) as camera, pytest.raises(UserError):
        open_source(camera.url(user="me:wr0ng"), said.append, options, cancelled)
    assert "401" in said[0] and "wr0ng" not in said[0]


@SEEDS
@SERVERS
def test_a_camera_that_comes_back_ends_the_wait_between_attempts(
    server: type, path: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []

    def noted(url: str) -> Callable[[], bool]:
        probe = server_probe(url)
        assert probe is not None
        return lambda: answers.append(probe()) or answers[-1]  # type: ignore[func-returns-value]

    monkeypatch.setattr("runtime.sources.open.server_probe", noted)
    with server() as camera, watch(camera, path, backoff=patient_backoff) as watcher:
        watcher.wait_for_frames(random.Random(seed).randrange(2, 8))
        camera.fake.mode = "refuse"
        watcher.wait_for_state("reconnecting")
        wait_for(lambda: answers and not answers[-1])
        camera.fake.mode = "serve"
        watcher.wait_for_frames()


def test_a_probe_sends_no_credentials_and_no_path() -> None:
    with RtspCamera() as camera:
        heads: list[str] = []
        camera.allowed = lambda head: heads.append(head) or True  # type: ignore[method-assign]
        probe = server_probe(camera.url("private", user=f"me:{PASSWORD}"))
        assert probe is not None
        wait_for(probe)
        camera.fake.mode = "mute"
        assert not probe()
        camera.fake.mode = "refuse"
        wait_for(lambda: camera.listener is None)
        assert not probe()
        assert heads == []


@SEEDS
@SERVERS
def test_half_a_frame_is_not_an_end(server: type, path: str, seed: int) -> None:
    rng = random.Random(seed)
    with server() as camera, watch(camera, path) as watcher:
        watcher.wait_for_frames(rng.randrange(2, 8))
        camera.fake.half = True
        wait_for(lambda: watcher.source.health.snapshot().events["reconnect"] == 1)
        watcher.wait_for_frames()
        watcher.wait_for_state("live")
        assert watcher.error is None and is_rising(watcher)


@SEEDS
@SERVERS
def test_corrupt_packets_are_counted_and_decoding_goes_on(server: type, path: str, seed: int) -> None:
    with server(Fake(seed=seed)) as camera, watch(camera, path) as watcher:
        watcher.wait_for_frames()
        camera.fake.corrupt = 0.5
        wait_for(lambda: watcher.source.health.snapshot().events["corrupt_packet"] >= 3)
        watcher.wait_for_frames(2)
        camera.fake.corrupt = 0.0
        # After the next key frame the picture is correct again.
        wait_for(lambda: watcher.frames[-1].pixels[:8, :12].min() > 220)
        watcher.wait_for_frames(14)
        assert watcher.frames[-1].pixels.shape == (48, 64, 3)
        assert watcher.error is None and is_rising(watcher)


@SEEDS
@SERVERS
def test_another_size_and_rate_in_the_stream_pass(server: type, path: str, seed: int) -> None:
    rng = random.Random(seed)
    with server() as camera, watch(camera, path) as watcher:
        watcher.wait_for_frames(rng.randrange(2, 8))
        sizes = [(64, 80), (48, 64), (2 * rng.randrange(20, 40), 2 * rng.randrange(20, 40))]
        for size in sizes:
            camera.fake.size, camera.fake.rate = size, rng.choice([30.0, 60.0])
            wait_for(lambda size=size: watcher.frames[-1].pixels.shape[:2] == size)
            assert watcher.frames[-1].pixels[:8, :8].min() > 220
        assert watcher.source.health.snapshot().events["reconnect"] == 0
        # The source keeps the info of its first connection; the sink adapts.
        assert watcher.source.info.size == (48, 64)


@SEEDS
def test_another_codec_passes(seed: int) -> None:
    with RtspCamera() as camera, watch(camera) as watcher:
        watcher.wait_for_frames(random.Random(seed).randrange(2, 20))
        camera.fake.codec = "mpeg4"
        wait_for(lambda: watcher.source.health.snapshot().events["reconnect"] >= 1)
        watcher.wait_for_frames(20)
        assert number_of(watcher.frames[-1].pixels) in range(14) and is_rising(watcher)


@SEEDS
@pytest.mark.parametrize("kind", ["repeat", "back", "ahead"])
def test_timestamps_go_forward_whatever_the_camera_says(kind: str, seed: int) -> None:
    rng, began = random.Random(seed), time.monotonic()
    with RtspCamera() as camera, watch(camera) as watcher:
        # A larger shift would go below zero, where RTP's 32-bit timestamps wrap around.
        camera.fake.shift = 10_000.0
        watcher.wait_for_frames(10 + rng.randrange(10))
        repaired = watcher.source.health.snapshot().events["timestamp_repair"]
        if kind == "repeat":
            camera.fake.frozen = True
        else:
            camera.fake.shift += {"back": -1, "ahead": 1}[kind] * rng.uniform(100, 5_000)
        watcher.wait_for_frames(10)
        camera.fake.frozen = False
        watcher.wait_for_frames(10)
        assert watcher.source.health.snapshot().events["timestamp_repair"] > repaired
        times = watcher.times()
        assert is_rising(watcher)
        # The recording has the duration of the run, not hours.
        assert times[-1] - times[0] < time.monotonic() - began + 15
        assert watcher.source.health.snapshot().events["reconnect"] == 0


@SEEDS
def test_a_step_of_the_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng, began = random.Random(seed), time.monotonic()
    with RtspCamera() as camera, watch(camera) as watcher:
        watcher.wait_for_frames(rng.randrange(2, 8))
        for wall in (4e9, 0.0, rng.uniform(0, 4e9)):
            monkeypatch.setattr("time.time", lambda wall=wall: wall)
            watcher.wait_for_frames()
        snapshot = watcher.source.health.snapshot()
        assert snapshot.state == "live" and snapshot.transitions["stalled"] == 0
        assert snapshot.events["reconnect"] == snapshot.events["timestamp_repair"] == 0
        assert watcher.times()[-1] < time.monotonic() - began + 15


def test_credentials_are_used_and_never_shown() -> None:
    with RtspCamera(Fake(mode="deny")) as camera:
        said: list[str] = []
        source = open_source(camera.url(user=f"me:{PASSWORD}"), said.append, impatient(said))
        with Watcher(source) as watcher:
            watcher.wait_for_frames()
            camera.fake.mode = "refuse"
            watcher.wait_for_state("reconnecting")
            shown = f"{said} {source.info} {source.health.snapshot()} {source.health.banner()}"
        assert PASSWORD not in shown and "***@127.0.0.1" in shown


@pytest.mark.parametrize("path", ["ts", "live.m3u8"])
def test_broadcasts_over_http_are_live_and_paced(path: str) -> None:
    with HttpCamera() as camera, watch(camera, path) as watcher:
        assert watcher.source.info.live
        watcher.wait_for_frames(60)

        def is_paced() -> bool:
            numbers = [number_of(frame.pixels) for frame in watcher.frames[-30:]]
            steps = [(b - a) % 14 for a, b in pairwise(numbers)]
            seen, arrivals = sum(step in (0, 1, 2) for step in steps), watcher.arrivals[-41:]
            return seen > 20 and arrivals[-1] - arrivals[0] > 0.3

        # Frames arrive in order and not a whole segment at once: most of them are seen.
        wait_for(is_paced)
        assert is_rising(watcher)


@pytest.mark.parametrize("prefix", ["file:", "file://", ""])
def test_a_playlist_cannot_open_local_files(tmp_path: Path, prefix: str) -> None:
    secret = make_clip(tmp_path / "secret.ts", count=30)
    with HttpCamera() as camera:
        camera.playlist = (
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n"
            f"#EXTINF:1.0,\n{prefix}{secret}\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(UserError) as error:
            open_source(camera.url("live.m3u8"), print)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        '#EXT-X-KEY:METHOD=AES-128,URI="{}"\n#EXTINF:1.0,\nsegment0.ts',
        '#EXT-X-MAP:URI="{}"\n#EXTINF:1.0,\nsegment0.ts',
        "#EXT-X-STREAM-INF:BANDWIDTH=1000\n{}",
        "#EXTINF:1.0,\n{}",
        "#EXTINF:1.0,\nsubfile,,start,0,end,9,,:{}",
        "#EXTINF:1.0,\nconcat:{}|{}",
    ],
)
def test_nothing_that_a_playlist_names_is_opened_on_the_disk(tmp_path: Path, line: str) -> None:
    """Opening a pipe without a writer blocks."""
    os.mkfifo(tmp_path / "pipe")
    with HttpCamera() as camera:
        head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n"
        camera.playlist = head + line.replace("{}", f"file://{tmp_path}/pipe") + "\n#EXT-X-ENDLIST\n"

        def open_it() -> None:
            with suppress(UserError), open_source(camera.url("live.m3u8"), print) as source:
                list(source.frames("bgr"))

        thread = threading.Thread(target=open_it, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("scheme", ["file://", "ftp://127.0.0.1"])
def test_a_server_cannot_lead_elsewhere(tmp_path: Path, scheme: str) -> None:
    with HttpCamera() as camera:
        camera.elsewhere = f"{scheme}{make_clip(tmp_path / 'secret.ts', count=30)}"
        with pytest.raises(UserError):
            open_source(camera.url("elsewhere"), print)
        camera.elsewhere = camera.url("mjpeg")
        with Watcher(open_source(camera.url("elsewhere"), print, impatient())) as watcher:
            watcher.wait_for_frames()
