"""One engine for several streams: what waits at the same time is computed as one batch."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from granet.errors import UserError
from runtime.engines.base import Engine, EngineInfo
from runtime.engines.fitting import FittingPlan
from runtime.media.frame import Pixels

GATHER = 0.1
"""Of the time that the last batch took: for so long the streams in it are waited for when it is done."""

MOST_GATHER = 0.05
"""Seconds, at most."""


@dataclass
class _Request:
    """Frames of one stream that wait for the engine."""

    stream: "_Stream"
    frames: Pixels
    done: threading.Event = field(default_factory=threading.Event)
    result: Pixels | None = None
    error: BaseException | None = None


class SharedEngine:
    """Runs an engine in a thread of its own for any number of streams.

    A batch is what waits when the engine becomes free. A stream that just got its result needs a moment to
    hand it on and come with its next frame; without waiting for that, two streams would take turns for ever.
    So those of the last batch have :data:`GATHER` of its time to be in the next one, and a stream that is
    slow or dead holds up no other for longer, nor again before it has been there again. Frames of different
    sizes are different batches. If a batch fails, each stream's frames are run alone, and only the stream
    whose frames fail has the error.

    Args:
        engine: loaded; it is closed by :meth:`close`.
        clock: seconds that only go forward.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine = engine
        self._clock = clock
        self._expected: set[_Stream] = set()
        self._expected_until = 0.0
        self.batches: dict[int, int] = defaultdict(int)
        """Frames in a batch -> how many such batches were run."""
        self._waiting: list[_Request] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="shared engine", daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        """How many batches of which size were run, for people."""
        sizes = ", ".join(f"{count} of {size}" for size, count in sorted(self.batches.items()))
        frames = sum(size * count for size, count in self.batches.items())
        return f"the engine computed {frames} frames in batches: {sizes or 'none'}"

    def stream(self) -> Engine:
        """An engine for one stream."""
        return _Stream(self)

    def submit(self, stream: "_Stream", frames: Pixels) -> Pixels:
        """Computes frames of one stream; waits for it. See :meth:`Engine.run`."""
        request = _Request(stream, frames)
        with self._changed:
            if self._closed:
                raise UserError("the engine was closed")
            self._waiting.append(request)
            self._changed.notify()
        request.done.wait()
        if request.error is not None:
            raise request.error
        assert request.result is not None
        return request.result

    def close(self) -> None:
        """Lets the batch that is running end, refuses the rest, and closes the engine."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self.engine.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                patience = self._expected_until - self._clock()
                self._changed.wait_for(lambda: self._closed or not self._missing(), max(0.0, patience))
                taken, self._waiting = self._waiting, []
                closed = self._closed
            if closed:
                for request in taken:
                    self._answer(request, None, UserError("the engine was closed"))
                return
            start = self._clock()
            groups: dict[tuple[int, ...], list[_Request]] = defaultdict(list)
            for request in taken:
                groups[request.frames.shape[1:]].append(request)
            for group in groups.values():
                self._compute(group)
            self._expected = {request.stream for request in taken}
            end = self._clock()
            self._expected_until = end + min(MOST_GATHER, GATHER * (end - start))

    def _missing(self) -> set["_Stream"]:
        """Streams that were in the last batch and do not wait for the next one yet."""
        return self._expected - {request.stream for request in self._waiting}

    def _compute(self, group: list[_Request]) -> None:
        frames = [request.frames for request in group]
        try:
            results = self.engine.run(frames[0] if len(frames) == 1 else np.concatenate(frames))
        except Exception as error:  # noqa: BLE001 - given to the stream, which raises it
            if len(group) == 1:
                self._answer(group[0], None, error)
                return
            for request in group:
                self._compute([request])
            return
        self.batches[len(results)] += 1
        start = 0
        for request in group:
            stop = start + len(request.frames)
            # A copy, so that no stream keeps the others' frames in memory.
            self._answer(request, results[start:stop].copy() if len(group) > 1 else results, None)
            start = stop

    @staticmethod
    def _answer(request: _Request, result: Pixels | None, error: BaseException | None) -> None:
        request.result, request.error = result, error
        request.done.set()


class _Stream(Engine):
    """What one stream's pipeline takes for an engine of its own."""

    def __init__(self, shared: SharedEngine) -> None:
        self.info: EngineInfo = shared.engine.info
        self._shared = shared

    def run(self, frames: Pixels) -> Pixels:
        return self._shared.submit(self, frames)

    def plan(self, height: int, width: int) -> FittingPlan:
        return self._shared.engine.plan(height, width)

    def _infer(self, batch: Pixels) -> Pixels:
        raise UserError("a wrapper has no graph of its own")
