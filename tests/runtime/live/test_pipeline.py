import pickle
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from granet.errors import UserError
from granet.size_rule import SizeRule
from runtime.engines.base import EngineAwayError
from runtime.engines.fitting import FrameFit
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sinks.base import Sink
from runtime.sources.base import Source, StreamInfo
from runtime.sources.live.supervised import LiveOptions, SupervisedSource
from runtime.telemetry.summary import Times
from tests.media import numbered
from tests.patience import PATIENCE, wait_for
from tests.runtime.fakes import FakeEngine


class FakeSource(Source):
    """Numbered frames; an error after ``fail_after`` of them."""

    def __init__(
        self, count: int, *, live: bool = False, fail_after: int | None = None, pause: float = 0.0
    ) -> None:
        self.info = StreamInfo("fake", "camera" if live else "video", live=live, frames=count)
        self.given = 0
        self._count, self._fail_after, self._pause = count, fail_after, pause

    def frames(self, colour: Colour) -> Iterator[Frame]:
        for index in range(self._count):
            if index == self._fail_after:
                raise UserError(f"fake: damaged after frame {index}")
            time.sleep(self._pause)
            self.given += 1
            yield Frame(np.full((20, 24, 3), index % 256, np.uint8), index, index, Fraction(1, 25))

    def has_given_all(self) -> bool:
        return self.given == self._count


class FakeSink(Sink):
    """Records its calls."""

    name = "fake"

    def __init__(
        self, *, seconds: float = 0.0, fail_at: int | None = None, enough: int | None = None
    ) -> None:
        self.calls: list[str] = []
        self.frames: list[Frame] = []
        self.indices: list[int] = []
        self.befores: list[Frame | None] = []
        self.threads: set[int] = set()
        self._seconds, self._fail_at, self._enough = seconds, fail_at, enough

    def start(self, colour: Colour) -> None:
        self.calls.append(f"start {colour}")

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        if len(self.indices) == self._fail_at:
            raise UserError("fake: disk full")
        time.sleep(self._seconds)
        self.threads.add(threading.get_ident())
        self.frames.append(frame)
        self.indices.append(frame.index)
        self.befores.append(before)
        if len(self.indices) == self._enough:
            self.wants_more = False

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")


class WaitingSink(FakeSink):
    """Waits in its second write until it is released, as a display does for a frame that is not due."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.released = threading.Event(), threading.Event()

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        super().write(frame, before)
        if len(self.indices) == 2:
            self.waits.set()
            assert self.released.wait(PATIENCE)

    def release(self) -> None:
        self.released.set()


class BehindEngine(FakeEngine):
    """Returns its first frame when a source has given all of its own."""

    def __init__(self, source: FakeSource) -> None:
        super().__init__()
        self._source = source

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        if self.calls == 0:
            wait_for(self._source.has_given_all)
        return super()._infer(batch, want_mask)


class BehindSink(FakeSink):
    """Takes its first frame when a source has given all of its own."""

    def __init__(self, source: FakeSource) -> None:
        super().__init__()
        self._source = source

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        wait_for(self._source.has_given_all)
        super().write(frame, before)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop, what was read is finished however long a busy machine takes."""
    monkeypatch.setattr("runtime.live.pipeline.DRAIN", PATIENCE)


def test_every_frame_of_a_file_comes_out_in_order_from_a_jittery_engine() -> None:
    sink, source = FakeSink(), FakeSource(200)
    summary = Pipeline(source, FakeEngine("rgb", jitter=0.004), sink).run()
    # A file has states as well, which the metrics show.
    transitions = source.health.snapshot().transitions
    assert (transitions["live"], transitions["ended"]) == (1, 1)
    assert sink.indices == list(range(200))
    assert (summary.frames_in, summary.frames_out, summary.dropped) == (200, 200, 0)
    assert sink.calls == ["start rgb", "finish"]
    assert sink.threads == {threading.get_ident()}
    assert (summary.backend, summary.device, summary.model) == ("fake", "cpu", "fake.onnx")
    assert 0 < summary.engine_ms.p50 <= summary.engine_ms.p99 <= summary.latency_ms.p99


class SeveralAtOnce(FakeEngine):
    """Acts like an engine on a GPU: three threads may run frames at once and finish in random order."""

    concurrency = 3

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__(jitter=0.004)
        self.at_once, self.most, self._fail_at = 0, 0, fail_at
        self._lock = threading.Lock()

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            if batch[0, 0, 0, 0] == self._fail_at:
                raise UserError("fake: the GPU fell off the bus")
            return super()._infer(batch, want_mask)
        finally:
            with self._lock:
                self.at_once -= 1


def test_an_engine_that_takes_several_frames_at_once_gets_them_and_order_stays() -> None:
    engine, sink = SeveralAtOnce(), FakeSink()
    summary = Pipeline(FakeSource(100), engine, sink, compare=True).run()
    assert sink.indices == list(range(100)) and summary.frames_out == 100
    assert engine.most == 3
    assert [frame.index for frame in sink.befores if frame is not None] == list(range(100))


def test_the_engine_gets_one_frame_of_a_live_source_at_a_time() -> None:
    engine = SeveralAtOnce()
    Pipeline(FakeSource(30, live=True, pause=0.001), engine, FakeSink()).run()
    assert engine.most == 1


def test_an_error_among_several_frames_ends_the_run() -> None:
    engine, sink = SeveralAtOnce(fail_at=20), FakeSink()
    with pytest.raises(UserError, match="fell off the bus"):
        Pipeline(FakeSource(100), engine, sink).run()
    assert sink.calls[-1] == "abort" and sink.indices == list(range(len(sink.indices)))
    assert len(sink.indices) <= 20 and engine.at_once == 0


@pytest.mark.usefixtures("patient")
def test_stopping_finishes_the_frames_that_are_in_the_engine() -> None:
    engine, sink = SeveralAtOnce(), FakeSink()
    pipeline = Pipeline(
        FakeSource(10_000), engine, sink, progress=lambda n, *_: pipeline.stop() if n == 5 else None
    )
    pipeline.run()
    assert sink.calls[-1] == "finish" and engine.at_once == 0
    assert sink.indices == list(range(len(sink.indices))) and len(sink.indices) < 50


def test_reading_inference_and_writing_overlap() -> None:
    # Reading frame 2, computing frame 1 and writing frame 0 meet, which they would not in sequence.
    meeting, met = threading.Barrier(3), list[str]()

    def meet(who: str, now: bool) -> None:
        if now:
            meeting.wait(10)
            met.append(who)

    class Reads(FakeSource):
        def frames(self, colour: Colour) -> Iterator[Frame]:
            for frame in super().frames(colour):
                meet("source", frame.index == 2)
                yield frame

    class Computes(FakeEngine):
        def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
            meet("engine", self.calls == 1)
            return super()._infer(batch, want_mask)

    class Writes(FakeSink):
        def write(self, frame: Frame, before: Frame | None = None) -> None:
            meet("sink", frame.index == 0)
            super().write(frame, before)

    Pipeline(Reads(5), Computes(), Writes()).run()
    assert sorted(met) == ["engine", "sink", "source"]


def test_a_slow_sink_never_makes_frames_pile_up() -> None:
    source, sink = FakeSource(60), FakeSink(seconds=0.01)
    most = 0

    def look(written: float, *_: object) -> None:
        nonlocal most
        most = max(most, source.given - written)

    Pipeline(source, FakeEngine(), sink, progress=look).run()
    # Both queues of three frames, one frame in each of the three stages.
    assert most <= 9
    assert len(sink.indices) == 60


def test_a_live_source_keeps_the_newest_frame_and_counts_what_it_drops() -> None:
    source, sink = FakeSource(100, live=True), FakeSink()
    summary = Pipeline(source, BehindEngine(source), sink).run()
    assert summary.frames_in == 100
    assert summary.dropped > 90
    assert summary.frames_out + summary.dropped == 100
    assert sink.indices == sorted(set(sink.indices))
    assert sink.indices[-1] == 99


def test_a_slow_sink_does_not_delay_a_live_source() -> None:
    source = FakeSource(60, live=True)
    summary = Pipeline(source, FakeEngine(), BehindSink(source)).run()
    assert source.given == 60 and summary.dropped > 50


@pytest.mark.parametrize("live", [False, True])
def test_the_limit_counts_what_is_written(live: bool) -> None:
    # A live source that ended would lose its frames on a busy machine, while the engine computes.
    source, sink = FakeSource(10**9, live=live), FakeSink()
    summary = Pipeline(source, FakeEngine(seconds=0.001), sink, limit=7).run()
    assert summary.frames_out == len(sink.indices) == 7
    assert sink.calls[-1] == "finish"
    if not live:
        assert source.given == 7


def test_comparisons_get_the_frame_as_it_was_read() -> None:
    sink = FakeSink()
    Pipeline(FakeSource(5), FakeEngine(invert=True), sink, compare=True).run()
    assert [frame.pixels[0, 0, 0] for frame in sink.befores if frame is not None] == [0, 1, 2, 3, 4]


def test_an_error_of_the_source_is_raised_once_and_leaves_nothing() -> None:
    sink = FakeSink()
    with pytest.raises(UserError, match="damaged after frame 5"):
        Pipeline(FakeSource(20, fail_after=5), FakeEngine(), sink).run()
    assert sink.calls[-1] == "abort" and "finish" not in sink.calls


def test_a_live_source_that_fails_leaves_its_recording() -> None:
    sink = FakeSink()
    with pytest.raises(UserError, match="damaged after frame 5"):
        Pipeline(FakeSource(20, live=True, fail_after=5, pause=0.005), FakeEngine(), sink).run()
    assert sink.calls[-1] == "finish" and sink.indices


class BrokenEngine(FakeEngine):
    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        raise RuntimeError("out of memory")


def test_an_error_of_the_engine_stops_all_three() -> None:
    sink, threads = FakeSink(), threading.active_count()
    with pytest.raises(RuntimeError, match="out of memory"):
        Pipeline(FakeSource(10_000), BrokenEngine(), sink).run()
    assert sink.calls[-1] == "abort"
    wait_for(lambda: threading.active_count() == threads)


class AwayEngine(FakeEngine):
    """A server that goes away at the fourth frame."""

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        if self.calls == 3:
            raise EngineAwayError("the server is away")
        return super()._infer(batch, want_mask)


def test_what_fails_because_of_a_stop_does_not_remove_the_part() -> None:
    """Ctrl-C while the run waited for the server removed the hours before."""
    sink, pipeline = FakeSink(), None

    def announce(line: str) -> None:
        assert "away" in line and pipeline is not None
        pipeline.stop()

    said: list[str] = []
    pipeline = Pipeline(FakeSource(10_000), AwayEngine(), sink, announce=announce, say=said.append)
    summary = pipeline.run()
    assert "abort" not in sink.calls and summary.frames_out == 3 and not summary.complete
    assert "after the stop: the server is away" in said


def test_what_failed_before_a_stop_is_the_error_of_the_run() -> None:
    class StopsLater(FakeSink):
        def write(self, frame: Frame, before: Frame | None = None) -> None:
            wait_for(lambda: pipeline._failures)
            pipeline.stop()

    class Breaks(FakeEngine):
        def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
            if self.calls:
                raise RuntimeError("out of memory")
            return super()._infer(batch, want_mask)

    pipeline = Pipeline(FakeSource(10_000), Breaks(), StopsLater())
    with pytest.raises(RuntimeError, match="out of memory"):
        pipeline.run()


def test_an_error_of_the_sink_stops_all_three() -> None:
    sink, source, threads = FakeSink(fail_at=3), FakeSource(10_000), threading.active_count()
    with pytest.raises(UserError, match="disk full"):
        Pipeline(source, FakeEngine(), sink).run()
    assert sink.calls[-1] == "abort" and source.given < 20
    wait_for(lambda: threading.active_count() == threads)


def test_a_sink_that_wants_no_more_frames_ends_the_run() -> None:
    sink = FakeSink(enough=4)
    summary = Pipeline(FakeSource(10_000), FakeEngine(), sink).run()
    assert summary.frames_out == 4 and sink.calls[-1] == "finish"


@pytest.mark.usefixtures("patient")
def test_stop_loses_nothing_that_was_read() -> None:
    sink, source = FakeSink(seconds=0.002), FakeSource(10_000)
    pipeline: Pipeline
    pipeline = Pipeline(
        source, FakeEngine(seconds=0.01), sink, progress=lambda n, *_: pipeline.stop() if n == 5 else None
    )
    summary = pipeline.run()
    # Both queues are emptied; the source may have read one more frame meanwhile.
    assert summary.frames_in == summary.frames_out == source.given > 5
    assert source.given <= 15
    assert sink.indices == list(range(summary.frames_out)) and sink.calls[-1] == "finish"


class StuckEngine(FakeEngine):
    """Yields one frame, calls ``when_stuck`` and then hangs until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release, self.released = threading.Event(), False
        self.when_stuck: Callable[[], None] = lambda: None

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        if self.calls == 1:
            self.when_stuck()
            self.release.wait(30)
            self.released = True
        return super()._infer(batch, want_mask)


def test_stop_does_not_wait_for_ever_for_a_slow_engine() -> None:
    said: list[str] = []
    sink, source, engine = FakeSink(), FakeSource(10_000), StuckEngine()
    pipeline = Pipeline(source, engine, sink, say=said.append)
    engine.when_stuck = pipeline.stop
    summary = pipeline.run()
    engine.release.set()
    assert sink.calls[-1] == "finish" and summary.frames_out == 1
    lost = summary.frames_in - summary.frames_out
    assert lost > 0 and any(f"{lost} frames were read but not written" in line for line in said)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("seconds", "most"), [(0.0, 9), (0.2, 2), (0.4, 1)])
def test_no_more_is_read_ahead_than_can_be_finished_after_a_stop(seconds: float, most: int) -> None:
    engine, source = FakeEngine(seconds=seconds), FakeSource(10_000)
    ahead: list[int] = []

    def look(written: float, *_: object) -> None:
        # The time per frame is not known before the first one.
        if written > 4:
            ahead.append(source.given - written)
        if written == 7:
            pipeline.stop()

    pipeline = Pipeline(source, engine, FakeSink(), progress=look)
    summary = pipeline.run()
    assert max(ahead) <= most + 1
    assert summary.frames_in == summary.frames_out == source.given


@pytest.mark.usefixtures("patient")
def test_a_stop_of_a_live_run_writes_what_was_read_and_counts_the_rest() -> None:
    source, sink = FakeSource(10_000, live=True, pause=0.002), FakeSink()
    pipeline: Pipeline
    pipeline = Pipeline(
        source,
        FakeEngine(seconds=0.02),
        sink,
        progress=lambda n, *_: pipeline.stop() if n == 5 else None,
    )
    summary = pipeline.run()
    assert summary.frames_in == summary.frames_out + summary.dropped
    # The frame in the engine and the one before it are written, too.
    assert summary.frames_out > 5 and sink.calls[-1] == "finish"
    assert source.health.snapshot().state == "ended"


class SilentSource(FakeSource):
    """A server that goes silent: the read does not return until it is released."""

    def __init__(self) -> None:
        super().__init__(10, live=True)
        self.release, self.released = threading.Event(), False

    def frames(self, colour: Colour) -> Iterator[Frame]:
        yield from super().frames(colour)
        self.release.wait(30)
        self.released = True


def test_stop_does_not_wait_for_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.live.pipeline._JOIN", 0.1)
    source, sink = SilentSource(), FakeSink()
    pipeline = Pipeline(source, FakeEngine(), sink)
    threading.Timer(0.3, pipeline.stop).start()
    pipeline.run()
    # The read is still waiting.
    assert sink.calls[-1] == "finish" and not source.released
    source.release.set()


def test_a_second_stop_does_not_wait_for_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.live.pipeline._JOIN", 0.1)
    monkeypatch.setattr("runtime.live.pipeline.DRAIN", 30.0)
    sink, engine = FakeSink(), StuckEngine()
    pipeline = Pipeline(FakeSource(10), engine, sink)

    def stop_twice() -> None:
        pipeline.stop()
        pipeline.stop()

    engine.when_stuck = stop_twice
    pipeline.run()
    assert sink.calls[-1] == "finish" and not engine.released
    engine.release.set()


def test_the_plan_is_announced_once_and_only_if_frames_are_changed() -> None:
    said: list[str] = []
    Pipeline(FakeSource(5), FakeEngine(), FakeSink(), say=said.append).run()
    assert said == []
    engine = FakeEngine(fit=FrameFit(SizeRule(), height=16, width=16))
    Pipeline(FakeSource(5), engine, FakeSink(), say=said.append).run()
    assert len(said) == 1 and "24x20" in said[0] and "tiles" in said[0]


def test_a_frame_that_is_refused_is_named() -> None:
    class Tiny(FakeSource):
        def frames(self, colour: Colour) -> Iterator[Frame]:
            yield Frame(numbered(0, 1, 1), 0, name="dot.png")

    with pytest.raises(UserError, match=r"dot\.png: a frame of 1x1"):
        Pipeline(Tiny(1), FakeEngine(fit=FrameFit(SizeRule())), FakeSink()).run()


def test_percentiles_are_numpys_and_memory_is_bounded() -> None:
    times = Times()
    values = np.random.default_rng(0).exponential(0.02, 5000)
    for value in values:
        times.add(float(value))
    got = times.percentiles()
    assert got.p90 == pytest.approx(1e3 * np.percentile(values, 90), abs=0.001)
    size = len(pickle.dumps(times))
    for value in np.random.default_rng(1).exponential(0.02, 40_000):
        times.add(float(value))
    assert times.percentiles().p50 == pytest.approx(1e3 * 0.02 * np.log(2), rel=0.05)
    assert len(pickle.dumps(times)) == pytest.approx(size, rel=0.01)
    assert Times().percentiles().p99 == 0


def test_a_live_run_whose_camera_is_away_stops_at_once_and_leaves_its_recording() -> None:
    def open_once() -> Source:
        raise UserError("fake: unplugged")

    cameras = iter([FakeSource(3, live=True, fail_after=2)])
    source = SupervisedSource("fake", lambda: next(cameras, None) or open_once(), LiveOptions())
    sink, threads = FakeSink(), threading.active_count()
    pipeline = Pipeline(source, FakeEngine(), sink)

    def stop() -> None:
        wait_for(lambda: sink.indices and source.health.snapshot().state == "reconnecting")
        pipeline.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    summary = pipeline.run()
    assert summary.frames_out >= 1 and sink.calls[-1] == "finish"
    assert source.health.snapshot().state == "ended"
    stopper.join()
    wait_for(lambda: threading.active_count() <= threads)


def test_the_health_of_a_stream_says_who_dropped_what_and_how_late_it_is() -> None:
    source = FakeSource(60, live=True)
    summary = Pipeline(source, BehindEngine(source), FakeSink(seconds=0.02)).run()
    snapshot = source.health.snapshot()
    assert snapshot.frames_in == 60 and snapshot.frames_out == summary.frames_out
    assert snapshot.dropped["engine"] > 50
    assert sum(snapshot.dropped.values()) == summary.dropped == 60 - summary.frames_out
    assert snapshot.latency_sum / snapshot.frames_out > 0.02
    slow = FakeSource(60, live=True)
    Pipeline(slow, FakeEngine(), BehindSink(slow)).run()
    dropped = slow.health.snapshot().dropped
    assert dropped["sink"] + dropped["engine"] > 50


def test_a_stop_ends_the_wait_of_a_display() -> None:
    sink = WaitingSink()
    pipeline = Pipeline(FakeSource(10_000), FakeEngine(), sink)
    run = threading.Thread(target=pipeline.run)
    run.start()
    assert sink.waits.wait(PATIENCE)
    pipeline.stop()
    run.join(PATIENCE)
    assert not run.is_alive() and sink.calls[-1] == "finish"
