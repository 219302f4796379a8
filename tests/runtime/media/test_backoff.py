"""Back-off between attempts: waits grow, have jitter, and are reset after a stable period."""

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.push import sink as push
from runtime.sinks.push.sink import PushSink
from runtime.sinks.video import recording
from runtime.sinks.video.recording import RecordingSink
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health

BASE = Fraction(1, 90_000)
INFO = StreamInfo("cam", "camera", live=True, rate=Fraction(20), time_base=BASE, size=(48, 64))
GREY = np.full((48, 64, 3), 128, np.uint8)
STEP = 0.05
"""Seconds between frames, which limits the precision of the retry times."""


@pytest.mark.parametrize("seed", range(5))
def test_waits_double_up_to_a_limit_with_jitter(seed: int) -> None:
    backoff = Backoff(rng=random.Random(seed))
    waits = [backoff.wait() for _ in range(8)]
    for wait, nominal in zip(waits, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert 0.75 * nominal <= wait <= 1.25 * nominal
    assert len({round(wait, 6) for wait in waits[4:]}) == 4


@pytest.mark.parametrize("seed", range(5))
def test_only_a_stable_period_resets_the_backoff(seed: int) -> None:
    backoff = Backoff(rng=random.Random(seed))
    for _ in range(8):
        backoff.wait()
    backoff.lived(0.5)
    assert backoff.wait() > 7
    backoff.lived(1.5)
    assert backoff.wait() <= 1.25


class World:
    """A server or disk that can be unavailable, a clock, and the times of a sink's attempts."""

    def __init__(self) -> None:
        self.now = 0.0
        self.is_there = False
        self.tries: list[float] = []
        self.writes = 0

    def run(self, sink: Sink, seconds: float) -> None:
        """Writes a frame every :data:`STEP`."""
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            sink.write(Frame(GREY, 0, round(self.now * 90_000), BASE))

    def waits(self) -> list[float]:
        return [float(wait) for wait in np.diff(self.tries)]


class Connection:
    """A connection that works while the server is available."""

    sending = True

    def __init__(self, world: World) -> None:
        self._world = world
        world.tries.append(world.now)
        self.write()

    def ready(self) -> bool:
        return True

    def write(self, *frames: object) -> None:
        if not self._world.is_there:
            raise UserError("there is no server")
        self._world.writes += 1

    def kill(self) -> None:
        pass

    def finish(self) -> None:
        pass


class File(Connection):
    """A file that grows while there is free space."""

    name = "out.mkv"

    def start(self, colour: object) -> None:
        pass

    def keep(self) -> None:
        pass

    def check(self) -> None:
        pass


Opens = Callable[[World, Backoff | None], Sink]


def pushed(world: World, backoff: Backoff | None) -> Sink:
    return PushSink(
        "rtsp://host/x",
        INFO,
        lambda line: None,
        health=Health("cam"),
        clock=lambda: world.now,
        backoff=backoff,
    )


def recorded(world: World, backoff: Backoff | None) -> Sink:
    world.is_there = True
    sink = RecordingSink(
        "out.mkv",
        INFO,
        lambda line: None,
        overwrite=False,
        health=Health("cam"),
        clock=lambda: world.now,
        backoff=backoff,
    )
    world.is_there = False
    world.tries.clear()
    return sink


@pytest.fixture(params=[pushed, recorded])
def opened(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[World, Backoff | None], Sink]:
    """Opens a sink in a world; both sinks must satisfy the same requirements."""
    monkeypatch.chdir(tmp_path)
    open_sink: Opens = request.param

    def made(world: World, backoff: Backoff | None) -> Sink:
        def free(directory: Path) -> int:
            if not world.is_there:
                world.tries.append(world.now)
            return 2**40 if world.is_there else 0

        monkeypatch.setattr(push, "PushConnection", lambda *arguments, **options: Connection(world))
        monkeypatch.setattr(recording, "VideoSink", lambda *arguments, **options: File(world))
        monkeypatch.setattr(recording, "free_bytes", free)
        sink = open_sink(world, backoff)
        sink.start("bgr")
        return sink

    return made


@pytest.mark.parametrize("seed", range(5))
def test_retries_back_off_and_never_stop(opened: Opens, seed: int) -> None:
    world = World()
    world.run(opened(world, Backoff(rng=random.Random(seed))), 200)
    # A push has made one attempt before its first wait, a recording none.
    begins = [1, 2, 4, 8] if world.tries[0] <= STEP else [2, 4, 8]
    waits = world.waits()
    assert len(waits) > 15
    for wait, nominal in zip(waits, [*begins, *[10] * len(waits)], strict=False):
        assert 0.75 * nominal <= wait + 1e-6 and wait <= 1.25 * nominal + STEP + 1e-6


def test_a_hundred_boxes_do_not_reconnect_at_the_same_instant(opened: Opens) -> None:
    # Uses the default back-off.
    attempts = set()
    for _ in range(20):
        world = World()
        world.run(opened(world, None), 30)
        attempts.add(round(world.tries[-1], 2))
    assert len(attempts) > 10


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("good", "least", "most"), [(5.0, 0.75, 1.25), (0.5, 7.5, 12.5)])
def test_the_backoff_of_a_sink_is_reset_after_a_stable_period_only(
    opened: Opens, good: float, least: float, most: float, seed: int
) -> None:
    world = World()
    sink = opened(world, Backoff(rng=random.Random(seed)))
    world.run(sink, 60)
    world.is_there = True
    before = world.writes
    _until(world, sink, lambda: world.writes > before)
    world.run(sink, good)
    world.is_there = False
    world.run(sink, STEP)
    lost, known = world.now, len(world.tries)
    _until(world, sink, lambda: len(world.tries) > known)
    assert least - 1e-6 <= world.tries[-1] - lost <= most + STEP + 1e-6


def _until(world: World, sink: Sink, done: Callable[[], bool]) -> None:
    for _ in range(round(30 / STEP)):
        if done():
            return
        world.run(sink, STEP)
    raise AssertionError("waited in vain")
