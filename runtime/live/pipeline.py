"""Reads, infers and writes concurrently, in order and in bounded memory.

Two threads read and infer; writing stays in the calling thread, because windows and signals need the main
thread. Bounded queues connect them, so the slowest of the three sets the pace. A *file* waits for it and
loses no frame. A *live* source keeps only the newest frame: one may wait for the engine and one for the
sink, and dropped frames are counted. A failing engine ends the run of a file; frames of a live source
bypass it (:mod:`runtime.live.guard`). :mod:`runtime.live.frame_steps` processes each frame.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum

from granet.app.console import Say
from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.live.dry_skipper import DrySkipper
from runtime.live.frame_steps import FrameSteps
from runtime.live.guard import EngineGuard
from runtime.live.in_order import in_order
from runtime.live.mask_view import MaskView
from runtime.live.patience import PatientEngine
from runtime.media.frame import Frame
from runtime.media.frame_queue import FrameQueue
from runtime.media.newest import Newest
from runtime.sinks.base import Sink
from runtime.sources.base import Source
from runtime.telemetry.health import DropReason, Health
from runtime.telemetry.summary import Summary, Times

QUEUED = 3
"""Most frames that wait between two stages: enough to even out their jitter."""

AHEAD = 0.3
"""Seconds of engine work to read ahead; short, because frames that were read are finished after a stop."""

DRAIN = 1.0
"""Seconds after :meth:`Pipeline.stop` in which frames that were read are still written. Together with the
closing of sinks and source this stays below the two seconds that the documentation promises."""

_IDLE = 0.05
_JOIN = 0.2


@dataclass(frozen=True)
class _Work:
    """A frame in the pipeline."""

    frame: Frame
    read_at: float
    skipped: bool = False
    before: Frame | None = None


class _Stop(IntEnum):
    """The stages of :meth:`Pipeline.stop`."""

    NOTHING = 0
    DRAIN = 1
    AT_ONCE = 2


@dataclass(frozen=True)
class _Failure:
    """The error that ended the run; later errors are its consequences."""

    error: BaseException
    keeps_recording: bool
    after_stop: bool


@dataclass
class _Tally:
    """Frame counts and latencies of one run, and whether the source has reached its end."""

    read: int = 0
    written: int = 0
    exhausted: bool = False
    latency: Times = field(default_factory=Times)


class Pipeline:
    """One run of a source through an engine into a sink.

    Args:
        source: the opened source.
        engine: the loaded engine.
        sink: the sink, not yet started.
        compare: pass the frames as read to the sink, too.
        skip_dry: let dry frames bypass the engine.
        show_mask: pass the rain to the sink instead of the picture.
        limit: stop after this many written frames; ``None`` for no limit.
        say: called with one line on how frames are processed, and on frames that a stop loses.
        announce: called with one line when the engine fails on a live stream or recovers, and when
            skipping of dry frames begins or ends.
        progress: called after each written frame with the number of frames written.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        sink: Sink,
        *,
        compare: bool = False,
        skip_dry: bool = False,
        show_mask: bool = False,
        limit: int | None = None,
        say: Say = lambda message: None,
        announce: Say = lambda message: None,
        progress: Progress = no_progress,
    ) -> None:
        self._source, self._engine, self._sink = source, engine, sink
        self._compare, self._limit = compare, limit
        self._say, self._progress = say, progress
        frames = source.info.frames
        self._total = frames if limit is None else min(limit, frames or limit)
        self._live = source.info.live
        self.health: Health = source.health
        self.health.total = None if self._live else self._total
        self._stop = _Stop.NOTHING
        self._failures: deque[_Failure] = deque()
        self._steps = FrameSteps(
            EngineGuard(engine, self.health, announce)
            if self._live
            else PatientEngine(engine, announce, lambda: bool(self._stop or self._failures)),
            DrySkipper(self.health, announce) if skip_dry else None,
            MaskView(engine.info, say) if show_mask else None,
            say,
        )
        self._read = self._queue("engine")
        self._done = self._queue("sink")
        self._tally = _Tally()
        # Drops before this run are not part of its summary.
        self._dropped_before = self.health.snapshot().dropped["source"]

    def stop(self) -> None:
        """Ends the run; a second call ends it without waiting.

        Reading stops. Frames that were read are still written, unless that takes longer than
        :data:`DRAIN`. May be called from any thread and from a signal handler.
        """
        # The loop closes the queues: a signal can arrive while this thread holds their lock.
        self._stop = _Stop.AT_ONCE if self._stop else _Stop.DRAIN
        self._sink.release()

    def run(self) -> Summary:
        """Runs until the source ends, :meth:`stop` is called or the sink wants no more frames.

        The output is finished at the end of the source or of the limit. If the run of a file is stopped
        before, the output stays as a part; after an error it is removed. The exception is the failure of a
        live source: then the recording is finished and the error raised.

        Raises:
            UserError: from source, engine or sink.
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
            if (cause := self._cause()) and not cause.keeps_recording:
                raise cause.error
            if self._live or self._is_complete():
                self._sink.finish()
            else:
                self._sink.interrupt()
        except BaseException:
            self._end(threads)
            self._sink.abort()
            raise
        self._end(threads)
        if cause := self._cause():
            raise cause.error
        for failure in self._failures:
            self._say(f"after the stop: {failure.error}")
        self._say_loss()
        return self._summary(time.perf_counter() - start)

    def _reading(self) -> None:
        """The first thread: source -> queue."""
        frames = iter(self._source.frames(self._engine.info.colour))
        # Wait for room before reading, so that a stop loses no frame.
        while (room := self._read.lease()) is not None:
            with room:
                frame = next(frames, None)
                if frame is None:
                    self._tally.exhausted = True
                    return
                if not self._is_possible(frame):
                    continue
                self.health.frame_in()
                if not self._live:
                    self.health.enter("live")
                if not room.put(_Work(frame, time.perf_counter())):
                    self.health.drop("engine")
                    return
            self._tally.read += 1
            if self._stop or (self._tally.read == self._limit and not self._live):
                return

    def _is_possible(self, frame: Frame) -> bool:
        """Whether the engine takes frames of this size; the source decides whether a refusal is an error."""
        if frame.name is None:
            return True
        try:
            self._engine.plan(*frame.pixels.shape[:2])
        except UserError as error:
            self._source.leave_out(frame, error)
            return False
        return True

    def _inferring(self) -> None:
        """The second thread: queue -> engine -> queue.

        A file uses the full concurrency of the engine; a live source one frame at a time, for low latency.
        """
        threads = 1 if self._live else self._engine.concurrency
        for work, result in in_order(self._apply, self._taken(), threads):
            before = work.frame if self._compare else None
            if not self._done.put(_Work(result, work.read_at, before=before)):
                return

    def _taken(self) -> Iterator[_Work]:
        """Frames that were read, in order, each marked as dry or not, which depends on earlier frames."""
        while (work := self._read.get()) is not None:
            yield replace(work, skipped=self._steps.skips(work.frame))

    def _apply(self, work: _Work) -> Frame:
        start = time.perf_counter()
        result = self._steps.apply(work.frame, work.skipped)
        if isinstance(self._read, FrameQueue):
            self._read.resize(min(QUEUED, int(AHEAD / max(time.perf_counter() - start, 1e-6))))
        return result

    def _writing(self) -> None:
        """This thread: queue -> sink."""
        give_up_at: float | None = None
        while self._tally.written != self._limit and self._sink.wants_more:
            if self._stop and give_up_at is None:
                give_up_at = time.monotonic() + DRAIN
                self._read.close()
            if give_up_at is not None and time.monotonic() > give_up_at:
                return
            try:
                work = self._done.get(_IDLE)
            except TimeoutError:
                if self._stop is _Stop.AT_ONCE:
                    return
                self._sink.idle()
                continue
            if work is None:
                # The sound after the last frame.
                self._sink.write_sound(self._source.sound())
                return
            self._write(work)

    def _write(self, work: _Work) -> None:
        self._sink.write(work.frame, work.before)
        self._sink.write_sound(self._source.sound())
        latency = time.perf_counter() - work.read_at
        self._tally.written += 1
        self._tally.latency.add(latency)
        self.health.frame_out(latency)
        self._progress(self._tally.written, self._total, "")

    def _guarded(self, stage: Callable[[], None]) -> None:
        """Runs a stage in its thread; an error ends the run and is raised in the calling thread."""
        try:
            stage()
        except BaseException as error:  # noqa: BLE001 - raised again by run()
            of_source = stage == self._reading and isinstance(error, UserError)
            self._failures.append(_Failure(error, of_source and self._live, after_stop=bool(self._stop)))
        finally:
            self._read.close(discard=stage == self._inferring)
            if stage == self._inferring:
                self._done.close()

    def _cause(self) -> _Failure | None:
        """The failure that ended the run. One after a stop may be its consequence: then the part stays."""
        first = next(iter(self._failures), None)
        return None if first is None or first.after_stop else first

    def _end(self, threads: list[threading.Thread]) -> None:
        self._read.close(discard=True)
        self._done.close(discard=True)
        if self._live:
            # Otherwise the reader would wait for a disconnected camera. A file is not closed while in use.
            self._source.close()
        self.health.enter("ended")
        deadline = time.monotonic() + _JOIN
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _is_complete(self) -> bool:
        """Whether everything that was wanted of the source is written."""
        tally = self._tally
        return tally.written == self._limit or (
            tally.exhausted and tally.read - self._dropped() == tally.written
        )

    def _say_loss(self) -> None:
        """Reports frames that were read but not written before a stop timed out."""
        tally = self._tally
        lost = tally.read - tally.written - self._dropped()
        if self._stop and lost > 0 and tally.written != self._limit:
            self._say(f"stopped: {lost} frames were read but not written in time")

    def _queue(self, reason: DropReason) -> FrameQueue[_Work] | Newest[_Work]:
        """A queue for the next stage; for a live source it keeps only the newest frame."""
        if not self._live:
            return FrameQueue(QUEUED)
        return Newest(dropping=lambda: self.health.drop(reason))

    def _dropped(self) -> int:
        """Frames of a live source that gave way between two stages."""
        return sum(queue.dropped for queue in (self._read, self._done) if isinstance(queue, Newest))

    def _summary(self, seconds: float) -> Summary:
        info, tally = self._engine.info, self._tally
        unseen = self.health.snapshot().dropped["source"] - self._dropped_before
        return Summary(
            frames_in=tally.read + unseen,
            frames_out=tally.written,
            complete=self._is_complete() and not self._source.left_out,
            dropped=unseen + self._dropped(),
            seconds=round(seconds, 3),
            fps=round(tally.written / seconds, 2) if seconds > 0 else 0.0,
            latency_ms=tally.latency.percentiles(),
            engine_ms=self._steps.times.percentiles(),
            backend=info.backend,
            device=info.device,
            model=info.model,
        )
