"""How one stream fares: its state, what it lost, how late it is, and what a frozen picture has to say.

The source, the engine guard, the pipeline and the sinks report here, each from a thread of its own;
the status line, the metrics and the page read :meth:`Health.snapshot`. Times are of a monotonic
clock, so a step of the wall clock changes nothing.
"""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from granet.app.credentials import mask

State = Literal["connecting", "live", "stalled", "reconnecting", "ended"]
"""*connecting*: no frame yet. *live*: frames come. *stalled*: none for some seconds, the connection
still stands. *reconnecting*: it is opened again. *ended*: no more frames will come."""

STATES: tuple[State, ...] = ("connecting", "live", "stalled", "reconnecting", "ended")

DropReason = Literal["source", "engine", "sink"]
"""Which stage had frames waiting when a newer one came: *source* if nothing took what was decoded,
*engine* if the engine was busy, *sink* if what shows or writes them was."""

DROP_REASONS: tuple[DropReason, ...] = ("source", "engine", "sink")

Event = Literal["reconnect", "engine_fault", "corrupt_packet", "timestamp_repair", "sink_fault"]
"""What is counted: connections opened again, frames the engine failed on, packets or frames that the
decoder calls corrupt, timestamps that were moved, writes that failed."""

EVENTS: tuple[Event, ...] = ("reconnect", "engine_fault", "corrupt_packet", "timestamp_repair", "sink_fault")

LATENCY_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12)
"""Upper bounds, in seconds, of the histogram's buckets; the last bucket has none."""

FRESH = 1.0
"""Seconds that a picture may stand still before it has to say so."""


@dataclass(frozen=True)
class HealthSnapshot:
    """How a stream fared at one moment.

    Attributes:
        name: of the stream, for people and labels; has no credentials.
        live: frames come at their own pace: a camera or a broadcast, not a file.
        state: see :data:`State`.
        detail: why it is in that state; may be empty.
        state_seconds: how long it has been.
        age: seconds since the last frame was written; ``None`` before the first.
        frames_in: frames decoded, dropped ones included.
        frames_out: frames written.
        frames_dry: frames that passed as they are because they were dry.
        dropped: frames that gave way to newer ones; every reason has a number.
        events: how often each :data:`Event` happened; every event has a number.
        transitions: how often each state was entered; every state has a number.
        latency_counts: frames in each bucket of :data:`LATENCY_BOUNDS`, and beyond the last: one
            more number than bounds, not cumulative.
        latency_sum: seconds of all of them together, from being decoded to being written.
        engine_failing: why the latest frame passed by the engine; empty if it did not.
    """

    name: str
    live: bool
    state: State
    detail: str
    state_seconds: float
    age: float | None
    frames_in: int
    frames_out: int
    frames_dry: int
    dropped: Mapping[DropReason, int]
    events: Mapping[Event, int]
    transitions: Mapping[State, int]
    latency_counts: tuple[int, ...]
    latency_sum: float
    engine_failing: str


class Health:
    """What is known of one stream. All methods may be called from any thread.

    Args:
        name: of the stream; credentials in it are masked.
        live: whether frames come at their own pace. A file's picture may stand as long as it likes, and
            its states are not told.
        say: is told every change of state, once, in one line.
        clock: seconds that only go forward.

    Attributes:
        name: as above; may be changed.
        live: as above; may be changed, as it is known for certain only once a source is open.
    """

    def __init__(
        self,
        name: str,
        *,
        live: bool = True,
        say: Callable[[str], None] = lambda message: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = mask(name)
        self.live = live
        self._say, self._clock = say, clock
        self._lock = threading.Lock()
        self._state: State = "connecting"
        self._detail = ""
        self._since = self._lost_at = clock()
        self._written_at: float | None = None
        self._was_live = False
        self._frames_in = self._frames_out = self._frames_dry = 0
        self._dropped: Counter[DropReason] = Counter()
        self._events: Counter[Event] = Counter()
        self._transitions: Counter[State] = Counter({"connecting": 1})
        self._latencies = [0] * (len(LATENCY_BOUNDS) + 1)
        self._latency_sum = 0.0
        self._engine_failing = ""

    def enter(self, state: State, detail: str = "") -> bool:
        """Changes the state; if that is the state already, only the detail. *ended* is for ever.

        Args:
            state: the new one.
            detail: why, for people; credentials in it are masked.

        Returns:
            Whether it changed.
        """
        now = self._clock()
        with self._lock:
            if self._state == "ended":
                return False
            if state == self._state:
                self._detail = mask(detail)
                return False
            # What never began has an error of its own to say why.
            line = "" if state == "ended" and not self._was_live else self._line(state, mask(detail), now)
            if self._state == "live":
                self._lost_at = now
            self._was_live = self._was_live or state == "live"
            self._state, self._detail, self._since = state, mask(detail), now
            self._transitions[state] += 1
        if line and self.live:
            self._say(line)
        return True

    def frame_in(self) -> None:
        """A frame was decoded."""
        with self._lock:
            self._frames_in += 1

    def frame_out(self, latency: float) -> None:
        """A frame was written, ``latency`` seconds after it was decoded."""
        now = self._clock()
        with self._lock:
            self._frames_out += 1
            self._written_at = now
            self._latencies[bisect_left(LATENCY_BOUNDS, latency)] += 1
            self._latency_sum += latency

    def dry(self, frames: int) -> None:
        """So many frames pass as they are because it does not rain."""
        with self._lock:
            self._frames_dry += frames

    def drop(self, reason: DropReason) -> None:
        """A frame gave way to a newer one."""
        with self._lock:
            self._dropped[reason] += 1

    def count(self, event: Event) -> None:
        """Something happened once."""
        with self._lock:
            self._events[event] += 1

    def engine_failing(self, why: str) -> None:
        """The latest frame passed by the engine because of ``why``; an empty text if it did not."""
        with self._lock:
            self._engine_failing = why

    def snapshot(self) -> HealthSnapshot:
        """All of it, of one moment."""
        now = self._clock()
        with self._lock:
            return HealthSnapshot(
                name=self.name,
                live=self.live,
                state=self._state,
                detail=self._detail,
                state_seconds=now - self._since,
                age=None if self._written_at is None else now - self._written_at,
                frames_in=self._frames_in,
                frames_out=self._frames_out,
                frames_dry=self._frames_dry,
                dropped={reason: self._dropped[reason] for reason in DROP_REASONS},
                events={event: self._events[event] for event in EVENTS},
                transitions={state: self._transitions[state] for state in STATES},
                latency_counts=tuple(self._latencies),
                latency_sum=self._latency_sum,
                engine_failing=self._engine_failing,
            )

    def banner(self) -> str | None:
        """What is to be drawn over the picture, which has stood still for more than :data:`FRESH` seconds.

        Returns:
            A short line of ASCII; ``None`` if the picture is fresh, or is a file's.
        """
        now = self._clock()
        with self._lock:
            shown_at = self._lost_at if self._written_at is None else self._written_at
            still = now - shown_at
            if not self.live or still <= FRESH:
                return None
            seconds = f"{int(still)} s"
            if self._state == "ended":
                return f"ENDED {seconds} ago"
            if self._state == "live":
                return f"NO NEW PICTURE for {seconds}"
            if not self._was_live:
                return f"NO SIGNAL for {seconds} - connecting"
            return f"NO SIGNAL for {seconds}" + (" - reconnecting" if self._state == "reconnecting" else "")

    def _line(self, state: State, detail: str, now: float) -> str:
        why = f": {detail}" if detail else ""
        if state == "live" and self._was_live:
            return f"{self.name}: live again after {now - self._lost_at:.1f} s{why}"
        return f"{self.name}: {state}{why}"
