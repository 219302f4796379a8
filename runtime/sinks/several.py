"""Several sinks at once: none of a live run waits for another, and none ends with another."""

import time
from collections.abc import Callable, Sequence
from typing import cast

from av.packet import Packet

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sinks.base import Sink
from runtime.sinks.worker import SinkWorker
from runtime.sources.base import SoundPacket
from runtime.telemetry.health import Health
from runtime.views.banner import with_fault

FINISH = 0.5
"""Seconds that all sinks of a live run have together to finish; an end within 2 s is promised."""


class SeveralSinks(Sink):
    """Gives every frame to every sink.

    Of a file every sink takes every frame, in order, one sink after the other; the first error ends
    the run. Of a live source each sink has a thread and two frames that may wait, so that a slow or
    dead one holds up nothing; what fails there is told once and the others go on. The run ends when
    no sink wants more.

    Args:
        sinks: one or more, not started.
        live: whether the source is.
        health: is told of frames that a sink was too slow for, and of sinks that fail.
        say: is told what became of a sink.
        beat: called whenever this is: the thread that it lives in is not stuck.
        clock: seconds that only go forward.
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
        """Why sinks of a live run ended before their time."""
        self._live, self._health, self._say, self._clock = live, health, say, clock
        self._beat = beat
        self._threaded = [sink for sink in sinks if live and not sink.main_thread]
        self._here = [sink for sink in sinks if sink not in self._threaded]
        self._workers: list[SinkWorker] = []
        self._started = False

    def start(self, colour: Colour) -> None:
        """Starts all of them."""
        super().start(colour)
        self._started = True
        for sink in self._here:
            sink.start(colour)
        self._workers = [SinkWorker(sink, colour, self._health) for sink in self._threaded]

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Gives the frame to each; see :meth:`Sink.write`."""
        frame = with_fault(frame)
        for worker in self._workers:
            worker.offer(frame, before if worker.sink.wants_before else None)
        for sink in [*self._here]:
            self._write_here(sink, frame, before if sink.wants_before else None)
        self._look()

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """Gives each a copy: writing a packet changes it."""
        if not packets:
            return
        for worker in self._workers:
            worker.offer_sound(copied(packets))
        for sink in self._here:
            sink.write_sound(copied(packets))

    def idle(self) -> None:
        """See :meth:`Sink.idle`; those with a thread are idle there."""
        for sink in [*self._here]:
            sink.idle()
        self._look()

    def release(self) -> None:
        """See :meth:`Sink.release`."""
        for sink in [*self._here]:
            sink.release()

    def finish(self) -> None:
        """Finishes all; a sink that does not within :data:`FINISH` is left behind, and that is told.

        What is looked at comes last: a picture may stay on the screen, and what is written is done then.

        Raises:
            UserError: if a sink fails now and the source is a file.
        """
        deadline = self._clock() + FINISH
        for worker in self._workers:
            worker.finish()
        for sink in sorted(self._here, key=lambda sink: sink.shows):
            sink.finish()
        for worker in self._workers:
            if not worker.join(max(0.0, deadline - self._clock())):
                self._say(f"{worker.sink.name}: did not finish within {FINISH:g} s and was left as it is")
        self._look()

    def abort(self) -> None:
        """Aborts all; what a live source's recording has is kept, see :class:`RecordingSink`."""
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

    def _look(self) -> None:
        """Takes out what has ended; raises what is no user's mistake; says whether any wants more."""
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
                self._say_rest(f"{sink.name} was closed")
        self.wants_more = bool(self._here or self._workers)

    def _fail(self, sink: Sink, error: BaseException) -> None:
        if not isinstance(error, (UserError, OSError)):
            raise error
        self._health.count("sink_fault")
        failure = error if isinstance(error, UserError) else UserError(f"{sink.name}: {error.strerror}")
        self.failed.append(failure)
        if not (self._here or self._workers):
            raise error
        self._say_rest(str(failure))

    def _say_rest(self, what: str) -> None:
        rest = ", ".join(sink.name for sink in [*self._here, *(worker.sink for worker in self._workers)])
        if rest:
            self._say(f"{what}; {rest} goes on")


def copied(packets: list[SoundPacket]) -> list[SoundPacket]:
    """Copies of the packets, still of the source's streams: a muxer sets stream and times to its own."""
    return [_copy(packet) for packet in packets]


def _copy(packet: SoundPacket) -> SoundPacket:
    copy = cast("SoundPacket", Packet(bytes(packet)))
    copy.stream = packet.stream
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
    for data in packet.iter_sidedata():
        copy.set_sidedata(data)
    return copy
