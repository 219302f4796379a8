import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise

import av
import numpy as np
import pytest

from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.colour_tags import ColourTags
from runtime.media.frame import Colour, Frame
from runtime.sources.base import DecodedFrame, Source, StreamInfo, WrongSettingsError
from runtime.sources.live.supervised import LiveOptions, SupervisedSource
from tests.patience import wait_for
from tests.runtime.sources.watching import Watcher, impatient, steady

BASE = Fraction(1, 1000)


class FakeCamera(Source):
    """``count`` frames of the colour (B, G, R) = (1, 2, 3) + 10 x number, then calls ``then``."""

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
            fail("camera 0: is not connected")
        assert camera is not None
        return camera

    with Watcher(SupervisedSource("camera 0", open_once, steady(said))) as watcher:
        wait_for(lambda: watcher.source.health.snapshot().transitions["live"] == 2)
        watcher.wait_for_frames()
        snapshot = watcher.source.health.snapshot()
    assert snapshot.events["reconnect"] == 3 and snapshot.transitions["reconnecting"] == 1
    assert all(a < b for a, b in pairwise(watcher.times()))
    assert [line.split(":")[1].strip() for line in said[:3]] == ["live", "reconnecting", "is not connected"]


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
        assert len(hanging) == len(opened) == 2
        release.set()
        # The reads return and release their resources, and the camera is opened again.
        wait_for(lambda: len(opened) > 2)
        wait_for(lambda: all(camera.closed for camera in opened[:2]))
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
    assert "did not open within" in said[0]


class Noted(Backoff):
    """Records when a wait is requested, and how long; there is none."""

    def __init__(self, first: float, most: float, events: list[str | float]) -> None:
        super().__init__(first, most, random.Random(1))
        self._events = events

    def wait(self) -> float:
        self._events.append(super().wait())
        return 0.0


def test_every_attempt_waits_longer_until_one_lasts() -> None:
    events: list[str | float] = []

    def open_once() -> Source:
        events.append("opened")
        return FakeCamera(1, fail, pause=0)

    options = steady(backoff=lambda: Noted(100.0, 400.0, events))
    with Watcher(SupervisedSource("camera 0", open_once, options)):
        wait_for(lambda: events.count("opened") >= 5)
    # A connection that is lost right after its first frame does not reset the back-off.
    assert events[:9:2] == ["opened"] * 5
    waits = [wait for wait in events[1:9:2] if isinstance(wait, float)]
    assert waits == pytest.approx([100, 200, 400, 400], rel=0.25)


def test_no_attempt_is_made_before_its_time() -> None:
    attempts, looks, cancelled = list[int](), list[int](), threading.Event()

    def open_once() -> Source:
        attempts.append(0)
        raise UserError("camera 0: is not connected")

    def look() -> None:
        looks.append(0)
        # The probe ran repeatedly after the first attempt failed.
        if len(looks) == 10:
            cancelled.set()

    options = impatient(backoff=lambda: Backoff(3600, 3600), waiting=look)
    with pytest.raises(UserError, match="camera 0"):
        SupervisedSource("camera 0", open_once, options, cancelled=cancelled)
    assert len(attempts) == 1


def test_guarantees_of_every_live_source() -> None:
    options = LiveOptions()
    # A stall is detected within three seconds by four checks per second; by default it never gives up.
    assert options.stalled_after + 0.25 < 3 and options.give_up_after is None


def test_waiting_for_the_first_frame_shows_activity() -> None:
    beats: list[int] = []
    cameras = iter([FakeCamera(10_000)])

    def open_once() -> Source:
        if len(beats) < 3:
            fail("camera 0: is not connected")
        return next(cameras)

    source = SupervisedSource("camera 0", open_once, impatient(waiting=lambda: beats.append(0)))
    source.close()
    assert len(beats) >= 3


def test_a_fault_of_a_driver_is_a_lost_connection() -> None:
    said: list[str] = []
    cameras = iter([FakeCamera(2, lambda: 1 / 0), FakeCamera(10_000)])  # type: ignore[arg-type,return-value]
    with Watcher(SupervisedSource("camera 0", lambda: next(cameras), steady(said))) as watcher:
        wait_for(lambda: watcher.source.health.snapshot().events["reconnect"] == 1)
        watcher.wait_for_frames()
    assert any("ZeroDivisionError" in line for line in said)


def test_a_source_gives_up_after_the_requested_time() -> None:
    cameras = iter([FakeCamera(3, lambda: fail("fake: gone"))])

    def open_once() -> Source:
        return next(cameras, None) or fail("fake: still gone")  # type: ignore[func-returns-value,return-value]

    with Watcher(SupervisedSource("fake", open_once, impatient(give_up_after=0.5))) as watcher:
        wait_for(lambda: watcher.error)
    assert isinstance(watcher.error, UserError)
    assert str(watcher.error).startswith("fake: given up after 0.5 s without a frame (")
    assert watcher.state == "ended" and watcher.frames


def test_giving_up_names_the_reason_even_if_nobody_looked_in_time() -> None:
    camera = FakeCamera(1, lambda: fail("fake: gone"))
    source = SupervisedSource("fake", lambda: camera, impatient(give_up_after=0.1))
    frames = source.frames("bgr")
    next(frames)
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name == "connection"])
    time.sleep(0.2)
    with pytest.raises(UserError, match=r"given up after 0\.1 s without a frame \(gone\)"):
        next(frames)


def test_invalid_settings_are_an_error_at_once() -> None:
    def open_once() -> Source:
        raise WrongSettingsError("camera 0: delivers 640x480, not 1280x720")

    with pytest.raises(WrongSettingsError, match="640x480"):
        SupervisedSource("camera 0", open_once, impatient())


def test_the_wait_for_a_first_frame_can_be_cancelled() -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(UserError, match="cancelled while waiting"):
        SupervisedSource("camera 0", lambda: fail(), impatient(), cancelled=cancelled)  # type: ignore[arg-type,func-returns-value,return-value]


def test_a_broadcast_that_has_ended_ends() -> None:
    finished = FakeCamera(3, pause=0.05)
    finished.info = StreamInfo("fake", "video", live=False, rate=Fraction(25))
    source = SupervisedSource("fake", lambda: finished, steady())
    frames = list(source.frames("bgr"))
    assert 1 <= len(frames) <= 3 and source.health.snapshot().state == "ended"


def test_only_the_newest_frame_waits_and_the_others_are_counted() -> None:
    source = SupervisedSource("fake", lambda: FakeCamera(20, partial(time.sleep, 1), pause=0.002), steady())  # type: ignore[arg-type]
    wait_for(lambda: source.health.snapshot().dropped["source"] == 19)
    frame = next(iter(source.frames("bgr")))
    assert frame.index == 19 and frame.pixels[0, 0].tolist() == [191, 192, 193]
    source.close()


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_frames_have_the_requested_colour_order(colour: Colour) -> None:
    cameras = iter([FakeCamera(1, fail), FakeCamera(1, fail), FakeCamera(1, partial(time.sleep, 1))])  # type: ignore[arg-type]
    source = SupervisedSource("fake", lambda: next(cameras), steady())
    frames = source.frames(colour)
    expected = [1, 2, 3] if colour == "bgr" else [3, 2, 1]
    # The first frame was read before the order was known, those of later connections afterwards.
    assert [next(frames).pixels[0, 0].tolist() for _ in range(3)] == [expected] * 3
    source.close()


class ColouredCamera(FakeCamera):
    """Yields decoded frames in the colours of an H.273 matrix, each with a duration of 40 ms."""

    def __init__(self, matrix: int, count: int, then: Callable[[], None]) -> None:
        super().__init__(count, then)
        self.info = replace(self.info, matrix=matrix, colour=ColourTags(matrix=matrix))

    def frames(self, colour: Colour) -> Iterator[Frame]:
        for frame in super().frames(colour):
            native = av.VideoFrame(8, 8, "yuv420p")
            yield DecodedFrame(
                frame.pixels, frame.index, frame.pts, frame.time_base, native=native, duration=40
            )


def test_the_decoders_picture_is_for_a_comparison_only_while_its_colours_are_those_of_the_output() -> None:
    """A comparison would copy it into a video with the first connection's colours and show a colour cast."""
    cameras = iter(
        [
            ColouredCamera(1, 1, fail),
            ColouredCamera(6, 1, fail),
            ColouredCamera(1, 1, partial(time.sleep, 1)),  # type: ignore[arg-type]
        ]
    )
    source = SupervisedSource("fake", lambda: next(cameras), steady())
    frames = source.frames("bgr")
    taken = [next(frames) for _ in range(3)]
    source.close()
    assert all(isinstance(frame, DecodedFrame) for frame in taken)
    assert [getattr(frame, "native", None) is not None for frame in taken] == [True, False, True]
    # The duration is unknown in a live stream; 40 would mean 40/90000 s here.
    assert [getattr(frame, "duration", None) for frame in taken] == [0, 0, 0]
