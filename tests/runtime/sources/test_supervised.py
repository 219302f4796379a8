import random
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from granet.errors import UserError
from runtime.media.backoff import FIRST, MOST, Backoff
from runtime.media.frame import Colour, Frame
from runtime.sources.base import Source, StreamInfo, WrongSettingsError
from runtime.sources.live import supervised
from runtime.sources.live.clock import TIME_BASE, LiveClock
from runtime.sources.live.supervised import MOST_LEFT, LiveOptions, SupervisedSource
from tests.runtime.sources.watching import Watcher, impatient, wait_for

BASE = Fraction(1, 1000)


class FakeCamera(Source):
    """``count`` frames of the colour (B, G, R) = (1, 2, 3) + 10 x number, then whatever ``then`` does."""

    def __init__(self, count: int = 3, then: Callable[[], None] = lambda: None, pause: float = 0.01) -> None:
        self.info = StreamInfo("fake", "camera", live=True, rate=Fraction(25), time_base=BASE, size=(8, 8))
        self._count, self._then, self._pause = count, then, pause
        self.closed = 0

    def frames(self, colour: Colour) -> Iterator[Frame]:
        for number in range(self._count):
            pixels = np.full((8, 8, 3), np.array([1, 2, 3]) + 10 * number, np.uint8)
            yield Frame(pixels[..., ::-1] if colour == "rgb" else pixels, number, 40 * number, BASE)
            time.sleep(self._pause)
        self._then()

    def close(self) -> None:
        self.closed += 1


def fail(message: str = "unplugged") -> None:
    raise UserError(message)


def test_a_camera_that_is_unplugged_comes_back() -> None:
    said: list[str] = []
    attempts = iter([FakeCamera(3, fail), None, None, FakeCamera(10_000)])

    def open_once() -> Source:
        camera = next(attempts)
        if camera is None:
            fail("camera 0: is not there")
        assert camera is not None
        return camera

    with Watcher(SupervisedSource("camera 0", open_once, impatient(said))) as watcher:
        wait_for(lambda: watcher.source.health.snapshot().transitions["live"] == 2)
        watcher.wait_for_frames()
        snapshot = watcher.source.health.snapshot()
    assert snapshot.events["reconnect"] == 3 and snapshot.transitions["reconnecting"] == 1
    assert all(a < b for a, b in pairwise(watcher.times()))
    assert [line.split(":")[1].strip() for line in said[:3]] == ["live", "reconnecting", "is not there"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_reads_that_never_return_do_not_pile_up(seed: int) -> None:
    said: list[str] = []
    release = threading.Event()
    opened: list[FakeCamera] = []
    count = random.Random(seed).randrange(1, 4)

    def open_once() -> Source:
        opened.append(FakeCamera(count, lambda: release.wait(30) and None))
        return opened[-1]

    options = impatient(said, stalled_after=0.05, reopen_after=0.1)
    with Watcher(SupervisedSource("camera 0", open_once, options)):
        wait_for(lambda: any("reads hang" in line for line in said))
        time.sleep(0.5)
        hanging = [thread for thread in threading.enumerate() if thread.name == "connection"]
        assert len(hanging) == len(opened) == MOST_LEFT
        release.set()
        # They return, release what they had, and the camera is opened again.
        wait_for(lambda: len(opened) > MOST_LEFT)
        wait_for(lambda: all(camera.closed for camera in opened[:MOST_LEFT]))
    wait_for(lambda: not [t for t in threading.enumerate() if t.name == "connection"])


def test_opening_that_hangs_is_left() -> None:
    said: list[str] = []
    release = threading.Event()
    attempts: list[int] = []

    def open_once() -> Source:
        attempts.append(0)
        if len(attempts) == 1:
            release.wait(30)
        return FakeCamera(10_000)

    with Watcher(SupervisedSource("camera 0", open_once, impatient(said, open_within=0.1))) as watcher:
        watcher.wait_for_frames()
        release.set()
    assert "cannot be opened within" in said[0]


def test_it_is_never_a_tight_loop() -> None:
    attempts: list[float] = []

    def open_once() -> Source:
        attempts.append(time.monotonic())
        return FakeCamera(1, fail, pause=0)

    options = impatient(backoff=lambda: Backoff(0.1, 0.4, random.Random(1)))
    with Watcher(SupervisedSource("camera 0", open_once, options)):
        wait_for(lambda: len(attempts) >= 5)
    # A quarter less at most; a connection that gives a frame and is lost at once does not begin anew.
    waits = [b - a for a, b in pairwise(attempts[:5])]
    assert all(wait >= 0.74 * nominal for wait, nominal in zip(waits, (0.1, 0.2, 0.4, 0.4), strict=True))


def test_what_is_promised_of_every_live_source() -> None:
    options = LiveOptions()
    # A stall is seen within three seconds, by who looks four times a second.
    assert options.stalled_after + supervised._LOOK < 3
    # Waits of one second that double to ten, for ever unless asked otherwise.
    assert (FIRST, MOST) == (1.0, 10.0) and options.give_up_after is None


def test_who_waits_for_the_first_frame_is_seen_to_be_alive() -> None:
    beats: list[int] = []
    cameras = iter([FakeCamera(10_000)])

    def open_once() -> Source:
        if len(beats) < 3:
            fail("camera 0: is not there")
        return next(cameras)

    source = SupervisedSource("camera 0", open_once, impatient(waiting=lambda: beats.append(0)))
    source.close()
    assert len(beats) >= 3


def test_a_fault_of_a_driver_is_a_lost_connection() -> None:
    said: list[str] = []
    cameras = iter([FakeCamera(2, lambda: 1 / 0), FakeCamera(10_000)])  # type: ignore[arg-type,return-value]
    with Watcher(SupervisedSource("camera 0", lambda: next(cameras), impatient(said))) as watcher:
        wait_for(lambda: watcher.source.health.snapshot().events["reconnect"] == 1)
        watcher.wait_for_frames()
    assert any("ZeroDivisionError" in line for line in said)


def test_it_is_given_up_after_as_long_as_was_asked_for() -> None:
    cameras = iter([FakeCamera(3, lambda: fail("fake: gone"))])

    def open_once() -> Source:
        return next(cameras, None) or fail("fake: still gone")  # type: ignore[func-returns-value,return-value]

    with Watcher(SupervisedSource("fake", open_once, impatient(give_up_after=0.5))) as watcher:
        wait_for(lambda: watcher.error)
    assert isinstance(watcher.error, UserError)
    assert str(watcher.error).startswith("fake: given up after 0.5 s without a frame (")
    assert watcher.state == "ended" and watcher.frames


def test_settings_that_can_never_be_right_are_an_error_at_once() -> None:
    def open_once() -> Source:
        raise WrongSettingsError("camera 0: gives 640x480, not 1280x720")

    with pytest.raises(WrongSettingsError, match="640x480"):
        SupervisedSource("camera 0", open_once, impatient())


def test_the_wait_for_a_first_frame_can_be_cancelled() -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(UserError, match="was not waited for"):
        SupervisedSource("camera 0", lambda: fail(), impatient(), cancelled=cancelled)  # type: ignore[arg-type,func-returns-value,return-value]


def test_a_broadcast_that_has_ended_ends() -> None:
    finished = FakeCamera(3, pause=0.05)
    finished.info = StreamInfo("fake", "video", live=False, rate=Fraction(25))
    source = SupervisedSource("fake", lambda: finished, impatient())
    frames = list(source.frames("bgr"))
    assert 1 <= len(frames) <= 3 and source.health.snapshot().state == "ended"


def test_only_the_newest_frame_waits_and_the_others_are_counted() -> None:
    source = SupervisedSource(
        "fake", lambda: FakeCamera(20, partial(time.sleep, 1), pause=0.002), impatient()
    )  # type: ignore[arg-type]
    wait_for(lambda: source.health.snapshot().dropped["source"] == 19)
    frame = next(iter(source.frames("bgr")))
    assert frame.index == 19 and frame.pixels[0, 0].tolist() == [191, 192, 193]
    source.close()


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_frames_have_the_colour_order_that_is_asked_for(colour: Colour) -> None:
    cameras = iter([FakeCamera(1, fail), FakeCamera(1, fail), FakeCamera(1, partial(time.sleep, 1))])  # type: ignore[arg-type]
    source = SupervisedSource("fake", lambda: next(cameras), impatient())
    frames = source.frames(colour)
    expected = [1, 2, 3] if colour == "bgr" else [3, 2, 1]
    # The first was read before the order was known, those of later connections after.
    assert [next(frames).pixels[0, 0].tolist() for _ in range(3)] == [expected] * 3
    source.close()


@pytest.mark.parametrize("seed", range(5))
def test_waits_double_up_to_a_limit_with_jitter(seed: int) -> None:
    backoff = Backoff(rng=random.Random(seed))
    waits = [backoff.wait() for _ in range(8)]
    for wait, nominal in zip(waits, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert 0.75 * nominal <= wait <= 1.25 * nominal
    assert len({round(wait, 6) for wait in waits[4:]}) == 4
    backoff.lived(0.5)
    assert backoff.wait() > 7
    backoff.lived(1.5)
    assert backoff.wait() <= 1.25


def _times(stamps: list[tuple[float | None, float]]) -> tuple[list[float], int]:
    """(times given in seconds, repairs) for (time of the stream, time of arrival)."""
    repairs: list[int] = []
    clock = LiveClock(lambda: repairs.append(0))
    given = []
    for stamp, arrival in stamps:
        seconds = None if stamp is None else Fraction(stamp).limit_denominator(90_000)
        given.append(round(float(clock.time_of(seconds, arrival) * TIME_BASE), 4))
    return given, len(repairs)


@pytest.mark.parametrize(
    ("stamps", "times", "repairs"),
    [
        # The stream's own steps are kept although frames arrive unevenly.
        ([(50, 0.0), (50.04, 0.01), (50.08, 0.09)], [0, 0.04, 0.08], 0),
        # Lost packets are a gap.
        ([(50, 0.0), (53, 0.04)], [0, 3], 0),
        # Hours ahead, and on from there.
        ([(50, 0.0), (9050, 0.04), (9050.04, 0.08)], [0, 0.04, 0.08], 1),
        # Back to the start, and on from there.
        ([(50, 0.0), (0, 0.04), (0.04, 0.08)], [0, 0.04, 0.08], 1),
        # Repeated: one unit later, without moving what follows.
        ([(50, 0.0), (50, 0.04), (50.08, 0.08)], [0, 0, 0.08], 1),
        # None at all: those of arrival.
        ([(None, 7.0), (None, 7.5), (None, 7.7)], [0, 0.5, 0.7], 0),
        # The first packets of RTSP have none until the server has said what time it is.
        ([(None, 7.0), (50, 7.5), (50.04, 7.5)], [0, 0.5, 0.54], 0),
    ],
)
def test_times_of_a_live_stream(
    stamps: list[tuple[float | None, float]], times: list[float], repairs: int
) -> None:
    given, repaired = _times(stamps)
    assert given == pytest.approx(times, abs=2e-4) and repaired == repairs


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_stamps_time_goes_forward_and_stays_near_ours(seed: int) -> None:
    rng = random.Random(seed)
    clock, arrival, stamp, last = LiveClock(lambda: None), 100.0, 0.0, -1
    for _ in range(2000):
        arrival += rng.uniform(0.0, 0.08)
        stamp += rng.choice([0.04, 0.04, 0.04, 0.04, 0.0, -0.04, rng.uniform(-1e5, 1e5)])
        if rng.random() < 0.01:
            clock.restart()
        time_now = clock.time_of(Fraction(round(stamp * 1000), 1000), arrival)
        assert time_now > last
        last = time_now
    assert abs(float(last * TIME_BASE) - (arrival - 100)) < 12
