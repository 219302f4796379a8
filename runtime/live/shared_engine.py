"""Shares one engine between several streams: frames that wait at the same time form one batch."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from granet.errors import UserError
from runtime.engines.base import Derained, Engine, ForwardingEngine
from runtime.media.frame import Pixels

GATHER = 0.1
"""After a batch, wait for its streams for this share of the time that the batch took."""

MOST_GATHER = 0.05
"""Upper limit of that wait, in seconds."""


@dataclass
class _Request:
    """Frames of one stream that wait for the engine."""

    stream: "_Stream"
    frames: Pixels
    want_mask: bool
    done: threading.Event = field(default_factory=threading.Event)
    result: Derained | None = None
    error: BaseException | None = None


class SharedEngine:
    """Runs an engine in its own thread for any number of streams.

    All frames that wait when the engine becomes free form a batch. A stream that just got its result needs
    a moment to pass it on and submit its next frame; without a wait, two streams would alternate for ever.
    So the streams of the last batch have :data:`GATHER` of its time to join the next one. A slow or dead
    stream delays the others only once, until it submits a frame again. Frames of different sizes form
    different batches. If a batch fails, the frames of each stream run alone, so that only the stream with
    the faulty frames gets the error. If one stream of a batch needs the mask, it is computed for all.

    Args:
        engine: the loaded engine; :meth:`close` closes it.
        clock: returns monotonic seconds.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine = engine
        self._clock = clock
        self._expected: set[_Stream] = set()
        self._expected_until = 0.0
        self.batches: dict[int, int] = defaultdict(int)
        """Batch size -> number of batches of that size."""
        self._waiting: list[_Request] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="shared engine", daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        """The number of batches by size, for people."""
        sizes = ", ".join(f"{count} of {size}" for size, count in sorted(self.batches.items()))
        frames = sum(size * count for size, count in self.batches.items())
        return f"the engine computed {frames} frames in batches: {sizes or 'none'}"

    @property
    def waiting(self) -> int:
        """Number of calls that wait for the next batch."""
        return len(self._waiting)

    def stream(self) -> Engine:
        """An engine for one stream."""
        return _Stream(self)

    def submit(self, stream: "_Stream", frames: Pixels, want_mask: bool) -> Derained:
        """Computes frames of one stream and waits for the result. See :meth:`Engine.derain`."""
        request = _Request(stream, frames, want_mask)
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
        """Finishes the running batch, refuses the waiting calls, and closes the engine."""
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
        """Streams of the last batch that have not yet submitted their next frame."""
        return self._expected - {request.stream for request in self._waiting}

    def _compute(self, group: list[_Request]) -> None:
        """Runs requests with frames of one size as one batch."""
        frames = [request.frames for request in group]
        want_mask = any(request.want_mask for request in group)
        try:
            result = self.engine.derain(frames[0] if len(frames) == 1 else np.concatenate(frames), want_mask)
        except Exception as error:  # noqa: BLE001 - raised by the stream that submitted the frames
            if len(group) == 1:
                self._answer(group[0], None, error)
                return
            for request in group:
                self._compute([request])
            return
        self.batches[len(result.frames)] += 1
        start = 0
        for request in group:
            stop = start + len(request.frames)
            self._answer(request, result if len(group) == 1 else _part(result, start, stop, request), None)
            start = stop

    @staticmethod
    def _answer(request: _Request, result: Derained | None, error: BaseException | None) -> None:
        request.result, request.error = result, error
        request.done.set()


def _part(result: Derained, start: int, stop: int, request: _Request) -> Derained:
    """The result of one request; a copy, so that no stream keeps the frames of others in memory."""
    mask = result.mask[start:stop].copy() if request.want_mask and result.mask is not None else None
    return Derained(result.frames[start:stop].copy(), mask)


class _Stream(ForwardingEngine):
    """The engine that one stream's pipeline uses.

    A batch contains one frame per stream. Several frames of one stream at once would make the batch size
    vary, and an engine on a GPU needs new buffers for each size.
    """

    def __init__(self, shared: SharedEngine) -> None:
        super().__init__(shared.engine)
        self.concurrency = 1
        self._shared = shared

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        return self._shared.submit(self, frames, want_mask)

    def close(self) -> None:
        """Does nothing: other streams use the engine. :meth:`SharedEngine.close` closes it."""
