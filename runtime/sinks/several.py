"""Several sinks at once; in a live run they neither block nor stop each other."""

import time
from collections.abc import Callable, Sequence

from granet.app.console import Say, Urgent
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sinks.base import Sink
from runtime.sinks.worker import SinkWorker
from runtime.sources.base import SoundPacket
from runtime.sources.sound_packets import copied
from runtime.telemetry.health import Health
from runtime.views.banner import with_fault

FINISH = 0.5
"""Seconds for all sinks of a live run together to finish; the documented limit for the exit is 2 s."""


class SeveralSinks(Sink):
    """Passes every frame to every sink.

    For a file, each sink receives every frame in order, one sink after the other, and the first error ends
    the run. For a live source, each sink runs in its own thread with a queue of two frames, so that a slow
    or hanging sink blocks nothing; a failure is announced once and the other sinks continue. The run ends
    when no sink wants more frames.

    Args:
        sinks: one or more sinks that are not started.
        live: whether the source is live.
        health: counts frames dropped by slow sinks, and failed sinks.
        say: called with a note when a sink ends early.
        beat: called on each call of this sink to show that its thread is not stuck.
        clock: monotonic clock in seconds.
    """

    main_thread = True

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        live: bool,
        health: Health,
        say: Say,
        beat: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = ", ".join(sink.name for sink in sinks)
        self.wants_before = any(sink.wants_before for sink in sinks)
        self.failed: list[UserError] = []
        """Errors of the sinks of a live run that failed."""
        self._live, self._health, self._say, self._clock = live, health, say, clock
        self._beat = beat
        self._threaded = [sink for sink in sinks if live and not sink.main_thread]
        self._here = [sink for sink in sinks if sink not in self._threaded]
        self._workers: list[SinkWorker] = []
        self._started = False

    def start(self, colour: Colour) -> None:
        """Starts all sinks."""
        super().start(colour)
        self._started = True
        for sink in self._here:
            sink.start(colour)
        self._workers = [SinkWorker(sink, colour, self._health) for sink in self._threaded]

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Passes the frame to each sink; see :meth:`Sink.write`."""
        frame = with_fault(frame)
        for worker in self._workers:
            worker.offer(frame, before if worker.sink.wants_before else None)
        for sink in [*self._here]:
            self._write_here(sink, frame, before if sink.wants_before else None)
        self._update()

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """Passes a copy of the packets to each sink, because writing a packet modifies it."""
        if not packets:
            return
        for worker in self._workers:
            worker.offer_sound(copied(packets))
        for sink in self._here:
            sink.write_sound(copied(packets))

    def idle(self) -> None:
        """See :meth:`Sink.idle`; a sink with its own thread idles there."""
        for sink in [*self._here]:
            sink.idle()
        self._update()

    def release(self) -> None:
        """See :meth:`Sink.release`."""
        for sink in [*self._here, *(worker.sink for worker in self._workers)]:
            sink.release()

    def finish(self) -> None:
        """Finishes all sinks; announces and abandons a sink that exceeds :data:`FINISH`.

        Displays finish last: a picture may stay on the screen, and the files are complete by then.

        Raises:
            UserError: if a sink fails here and the source is a file.
        """
        self._end_all(lambda sink: sink.finish())

    def interrupt(self) -> None:
        """Same as :meth:`finish`; see :meth:`Sink.interrupt`. A live source has no end that it could miss."""
        self._end_all(lambda sink: sink.finish() if self._live else sink.interrupt())

    def _end_all(self, end: Callable[[Sink], None]) -> None:
        deadline = self._clock() + FINISH
        for worker in self._workers:
            worker.finish()
        for sink in sorted(self._here, key=lambda sink: sink.shows):
            end(sink)
        for worker in self._workers:
            if not worker.join(max(0.0, deadline - self._clock())):
                self._say(f"{worker.sink.name}: did not finish within {FINISH:g} s and was abandoned")
        self._update()

    def abort(self) -> None:
        """Aborts all sinks; a recording of a live source is kept, see :class:`RecordingSink`."""
        for sink in [*self._here, *([] if self._started else self._threaded)]:
            sink.abort()
        deadline = self._clock() + FINISH
        for worker in self._workers:
            worker.abort()
        for worker in self._workers:
            worker.join(max(0.0, deadline - self._clock()))

    def _write_here(self, sink: Sink, frame: Frame, before: Frame | None) -> None:
        try:
            sink.write(frame, before)
        except (UserError, OSError) as error:
            if not self._live:
                raise
            self._here.remove(sink)
            sink.abort()
            self._fail(sink, error)

    def _update(self) -> None:
        """Removes sinks that have ended and updates ``wants_more``; raises unexpected errors."""
        self._beat()
        for worker in [*self._workers]:
            if worker.error is not None:
                self._workers.remove(worker)
                self._fail(worker.sink, worker.error)
            elif not worker.sink.wants_more:
                self._workers.remove(worker)
                worker.finish()
        for sink in [*self._here]:
            if not sink.wants_more:
                self._here.remove(sink)
                sink.finish()
                self._announce_end(f"{sink.name} was closed")
        self.wants_more = bool(self._here or self._workers)

    def _fail(self, sink: Sink, error: BaseException) -> None:
        if not isinstance(error, (UserError, OSError)):
            raise error
        self._health.count("sink_fault")
        failure = error if isinstance(error, UserError) else UserError(f"{sink.name}: {error.strerror}")
        self.failed.append(failure)
        if not (self._here or self._workers):
            raise error
        self._announce_end(Urgent(failure))

    def _announce_end(self, what: str) -> None:
        rest = ", ".join(sink.name for sink in [*self._here, *(worker.sink for worker in self._workers)])
        if rest:
            self._say(type(what)(f"{what}; still running: {rest}"))
