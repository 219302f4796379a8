"""Reading, inference and writing at the same time, in order, in bounded memory.

Two threads read and infer; writing stays in the calling thread, because windows and signals want the
main one. Between them are bounded queues, so the slowest of the three sets the pace. A *file* waits
for it and loses nothing; of a *live* source the newest frame counts: one may wait for the engine and
one for the sink, and what gives way is counted. An engine that fails ends a file; of a live source the
frames pass as they are (:mod:`runtime.live.guard`).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from granet.app.console import Say
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.live.guard import EngineGuard
from runtime.media.frame import Frame
from runtime.media.frame_queue import FrameQueue
from runtime.sinks.base import Sink
from runtime.sources.base import Source
from runtime.telemetry.health import DropReason, Health
from runtime.telemetry.summary import Summary, Times

QUEUED = 3
"""Frames that wait between two stages, at most: enough to even out their jitter."""

AHEAD = 0.3
"""Seconds of the engine's work that are read ahead of it: what was read has to be finished after a stop."""

DRAIN = 1.0
"""Seconds after :meth:`Pipeline.stop` in which frames that were read are still written. With what the sinks
and the source may take to end, it makes less than the two seconds that are promised."""

_IDLE = 0.05
_JOIN = 0.2
_AS_THEY_ARE = "as they are"


@dataclass(frozen=True)
class _Work:
    """A frame on its way."""

    frame: Frame
    read_at: float
    before: Frame | None = None


class Pipeline:
    """One run of a source through an engine into a sink.

    Args:
        source: opened.
        engine: loaded.
        sink: neither started nor written to.
        compare: give the sink the frames as they were read, too.
        limit: most frames to be written; ``None`` for all.
        say: is told once how frames are fitted to the graph, and what is lost by a stop.
        announce: is told when the engine fails on a live stream, and when it works again.
        progress: called with the number of frames written, after each.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        sink: Sink,
        *,
        compare: bool = False,
        limit: int | None = None,
        say: Say = lambda message: None,
        announce: Say = lambda message: None,
        progress: Callable[[int], None] = lambda written: None,
    ) -> None:
        self._source, self._engine, self._sink = source, engine, sink
        self._compare, self._limit = compare, limit
        self._say, self._progress = say, progress
        self._live = source.info.live
        self.health: Health = source.health
        self._guard = EngineGuard(engine, announce) if self._live else None
        self._read = self._queue("engine")
        self._done = self._queue("sink")
        self._stopping = threading.Event()
        self._drain_until: float | None = None
        self._hurry = False
        self._error: BaseException | None = None
        self._source_failed = False
        self._lock = threading.Lock()
        self._told = False
        self._frames_in = 0
        self._frames_out = 0
        self._dropped_before = self.health.snapshot().dropped["source"]
        self._latency, self._inference = Times(), Times()

    def stop(self) -> None:
        """Ends the run; a second call does not wait for anything.

        No more is read. What was read is written first, unless that takes longer than :data:`DRAIN`.
        May be called from any thread and from a signal handler.
        """
        # The queues are closed by the loop: a signal can arrive while this very thread has their lock.
        if self._stopping.is_set():
            self._hurry = True
        self._stopping.set()

    def run(self) -> Summary:
        """Runs until the source ends, :meth:`stop` is called or the sink wants no more.

        Whatever ends it but an error, the output is finished. After an error it is removed; but not
        if a live source fails: then what was recorded is finished, and the error raised.

        Raises:
            UserError: from any of the three.
        """
        threads = [
            threading.Thread(target=self._guarded, args=(stage,), name=stage.__name__, daemon=True)
            for stage in (self._reading, self._inferring)
        ]
        start = time.perf_counter()
        try:
            self._sink.start(self._engine.info.colour)
            for thread in threads:
                thread.start()
            self._writing()
            self._raise_unless_recording()
            self._sink.finish()
        except BaseException:
            self._end(threads)
            self._sink.abort()
            raise
        self._end(threads)
        if self._error is not None:
            raise self._error
        self._tell_loss()
        return self._summary(time.perf_counter() - start)

    def _reading(self) -> None:
        """The first thread: source -> queue."""
        try:
            frames = iter(self._source.frames(self._engine.info.colour))
            # What waits for room is not read yet, and so is not lost by a stop.
            while self._read.wait_for_room() and (frame := next(frames, None)) is not None:
                self.health.frame_in()
                if not self._live:
                    self.health.enter("live")
                if not self._read.put(_Work(frame, time.perf_counter())):
                    self.health.drop("engine")
                    return
                self._frames_in += 1
                if self._stopping.is_set() or (self._frames_in == self._limit and not self._live):
                    return
        except UserError:
            self._source_failed = True
            raise
        finally:
            self._read.withdraw()

    def _inferring(self) -> None:
        """The second thread: queue -> engine -> queue.

        Of a file as many frames at once as the engine takes; of a live source one, which is late the least.
        """
        if self._engine.concurrency > 1 and not self._source.info.live:
            return self._inferring_several()
        while (work := self._read.get()) is not None:
            if not self._deliver(work, self._infer(work.frame)):
                return

    def _inferring_several(self) -> None:
        """The same with threads of its own, in the order of the source."""
        flying: deque[tuple[_Work, Future[Frame]]] = deque()
        with ThreadPoolExecutor(self._engine.concurrency, "engine") as pool:
            while (work := self._read.get()) is not None:
                flying.append((work, pool.submit(self._infer, work.frame)))
                if len(flying) < self._engine.concurrency:
                    continue
                oldest, future = flying.popleft()
                if not self._deliver(oldest, future.result()):
                    return
            for work, future in flying:
                if not self._deliver(work, future.result()):
                    return

    def _deliver(self, work: _Work, result: Frame) -> bool:
        """Hands on a frame; ``False`` if none is wanted any more."""
        before = work.frame if self._compare else None
        return self._done.put(_Work(result, work.read_at, before))

    def _writing(self) -> None:
        """This thread: queue -> sink."""
        while self._frames_out != self._limit and self._sink.wants_more:
            if self._stopping.is_set() and self._drain():
                return
            try:
                work = self._done.get(_IDLE)
            except TimeoutError:
                if self._hurry:
                    return
                self._sink.idle()
                continue
            if work is None:
                # What came after the last frame.
                self._sink.write_sound(self._source.sound())
                return
            self._sink.write(work.frame, work.before)
            self._sink.write_sound(self._source.sound())
            self._frames_out += 1
            latency = time.perf_counter() - work.read_at
            self._latency.add(latency)
            self.health.frame_out(latency)
            self._progress(self._frames_out)

    def _drain(self) -> bool:
        """After a stop: nothing more is read; ``True`` once what was read is not waited for any longer."""
        now = time.monotonic()
        if self._drain_until is None:
            self._drain_until = now + DRAIN
            self._read.close()
        return now > self._drain_until

    def _infer(self, frame: Frame) -> Frame:
        start = time.perf_counter()
        try:
            self._tell_plan(frame)
            if self._guard is not None:
                result = self._guard.run([frame], [self.health])[0]
            else:
                result = replace(frame, pixels=self._engine.run(frame.pixels[None])[0])
            seconds = time.perf_counter() - start
            with self._lock:
                self._inference.add(seconds)
            if not self._live:
                self._read.resize(min(QUEUED, int(AHEAD / max(seconds, 1e-6))))
            return result
        except UserError as error:
            if frame.name is None:
                raise
            raise UserError(f"{frame.name}: {error}") from error

    def _tell_plan(self, frame: Frame) -> None:
        with self._lock:
            told, self._told = self._told, True
        if told:
            return
        height, width = frame.pixels.shape[:2]
        plan = self._engine.plan(height, width).description
        if plan != _AS_THEY_ARE:
            self._say(f"frames of {width}x{height} go through the network {plan}")

    def _guarded(self, stage: Callable[[], None]) -> None:
        """Runs a stage in its thread; its error ends the run and is raised in the calling thread."""
        try:
            stage()
        except BaseException as error:  # noqa: BLE001 - raised again by run()
            with self._lock:
                # What follows from the first error is not told.
                self._error = self._error or error
        finally:
            self._read.close(discard=stage == self._inferring)
            if stage == self._inferring:
                self._done.close()

    def _end(self, threads: list[threading.Thread]) -> None:
        self._stopping.set()
        self._read.close(discard=True)
        self._done.close(discard=True)
        if self._live:
            # A camera that is away would be waited for. A file is not closed under its reader.
            self._source.close()
        self.health.enter("ended")
        deadline = time.monotonic() + _JOIN
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _raise_unless_recording(self) -> None:
        if self._error is not None and not (self._source_failed and self._source.info.live):
            raise self._error

    def _tell_loss(self) -> None:
        """A stop that the engine was too slow for."""
        lost = self._frames_in - self._frames_out - self._read.dropped - self._done.dropped
        if self._drain_until is not None and lost > 0 and self._frames_out != self._limit:
            self._say(f"stopped: {lost} frames that were read could not be written in time")

    def _queue(self, reason: DropReason) -> FrameQueue[_Work]:
        """Of a live source, one frame, the newest."""
        if not self._live:
            return FrameQueue(QUEUED)
        return FrameQueue(1, newest=True, dropping=lambda: self.health.drop(reason))

    def _summary(self, seconds: float) -> Summary:
        info = self._engine.info
        # The source dropped them before this pipeline saw them.
        unseen = self.health.snapshot().dropped["source"] - self._dropped_before
        return Summary(
            frames_in=self._frames_in + unseen,
            frames_out=self._frames_out,
            dropped=unseen + self._read.dropped + self._done.dropped,
            seconds=round(seconds, 3),
            fps=round(self._frames_out / seconds, 2) if seconds > 0 else 0.0,
            latency_ms=self._latency.percentiles(),
            engine_ms=self._inference.percentiles(),
            backend=info.backend,
            device=info.device,
            model=info.model,
        )
