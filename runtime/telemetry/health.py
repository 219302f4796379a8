"""Health of one stream: its state, losses and latency, and the banner over a frozen picture.

The source, the engine guard, the pipeline and the sinks report here, each from its own thread. The
status line, the metrics and the page read :meth:`Health.snapshot`. All times come from a monotonic
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
from granet.app.outside_text import shown

State = Literal["connecting", "live", "stalled", "reconnecting", "ended"]
"""*connecting*: no frame yet. *live*: frames arrive. *stalled*: no frame for some seconds, but the
connection is open. *reconnecting*: the connection is being reopened. *ended*: no more frames will arrive."""

STATES: tuple[State, ...] = ("connecting", "live", "stalled", "reconnecting", "ended")

DropReason = Literal["source", "engine", "sink"]
"""The stage in front of which a frame waited when a newer one replaced it: *source* if nothing took the
decoded frame, *engine* if the engine was busy, *sink* if the sink was busy."""

DROP_REASONS: tuple[DropReason, ...] = ("source", "engine", "sink")

Event = Literal["reconnect", "engine_fault", "corrupt_packet", "timestamp_repair", "sink_fault"]
"""Counted events: reconnects, frames on which the engine failed, packets or frames that the decoder
reports as corrupt, timestamps that were repaired, writes that failed."""

EVENTS: tuple[Event, ...] = ("reconnect", "engine_fault", "corrupt_packet", "timestamp_repair", "sink_fault")

LATENCY_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12)
"""Upper bounds of the histogram's buckets, in seconds; one more bucket has no upper bound."""

FRESH = 1.0
"""Seconds after which a frozen picture gets a banner."""


@dataclass(frozen=True)
class HealthSnapshot:
    """The health of a stream at one moment.

    Attributes:
        name: name of the stream, for people and labels; contains no credentials.
        live: whether frames arrive at their own pace (a camera or a broadcast, not a file).
        state: see :data:`State`.
        detail: reason for the state; may be empty.
        state_seconds: seconds since the state was entered.
        age: seconds since the last frame was written; ``None`` before the first.
        waited: seconds since the last frame was written, and before the first since the start.
        frames_in: frames decoded, including dropped ones.
        frames_out: frames written.
        frames_dry: frames that bypassed the engine because they were dry.
        dropped: frames replaced by newer ones, for every reason.
        events: count of every :data:`Event`.
        transitions: how often each state was entered, for every state.
        latency_counts: frames in each bucket of :data:`LATENCY_BOUNDS` and in the unbounded one; one
            more entry than bounds, not cumulative.
        latency_sum: sum of all latencies from decoding to writing, in seconds.
        engine_failing: why the latest frame bypassed the engine; empty if it did not.
        total: frames that the run will write, for a file of known length; an estimate for a video.
    """

    name: str
    live: bool
    state: State
    detail: str
    state_seconds: float
    age: float | None
    waited: float
    frames_in: int
    frames_out: int
    frames_dry: int
    dropped: Mapping[DropReason, int]
    events: Mapping[Event, int]
    transitions: Mapping[State, int]
    latency_counts: tuple[int, ...]
    latency_sum: float
    engine_failing: str
    total: int | None = None


class Health:
    """Collects the health of one stream. All methods may be called from any thread.

    Args:
        name: name of the stream; credentials in it are masked.
        live: whether frames arrive at their own pace. A file gets no banner, and its changes of state
            are not announced.
        say: called once with one line for each change of state.
        clock: returns monotonic seconds.

    Attributes:
        name: as above; may be changed.
        live: as above; may be changed, because it is certain only after the source is open.
        total: frames that the run will write; ``None`` if unknown or live.
    """

    def __init__(
        self,
        name: str,
        *,
        live: bool = True,
        say: Callable[[str], None] = lambda message: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = shown(mask(name))
        self.live = live
        self.total: int | None = None
        self._say, self._clock = say, clock
        self._lock = threading.Lock()
        self._state: State = "connecting"
        self._detail = ""
        self._began = self._since = self._lost_at = clock()
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
        """Enters a state, or updates the detail of the current one. *ended* is final.

        Args:
            state: the new state.
            detail: the reason, for people; credentials in it are masked.

        Returns:
            Whether the state changed.
        """
        now, detail = self._clock(), _masked(detail)
        with self._lock:
            if self._state == "ended":
                return False
            if state == self._state:
                self._detail = detail
                return False
            # A stream that never became live ends with an error that already gives the reason.
            line = "" if state == "ended" and not self._was_live else self._line(state, detail, now)
            if self._state == "live":
                self._lost_at = now
            self._was_live = self._was_live or state == "live"
            self._state, self._detail, self._since = state, detail, now
            self._transitions[state] += 1
        if line and self.live:
            self._say(line)
        return True

    def frame_in(self) -> None:
        """Counts a decoded frame."""
        with self._lock:
            self._frames_in += 1

    def frame_out(self, latency: float) -> None:
        """Counts a frame written ``latency`` seconds after it was decoded."""
        now = self._clock()
        with self._lock:
            self._frames_out += 1
            self._written_at = now
            self._latencies[bisect_left(LATENCY_BOUNDS, latency)] += 1
            self._latency_sum += latency

    def dry(self, frames: int) -> None:
        """Counts frames that bypass the engine because they are dry."""
        with self._lock:
            self._frames_dry += frames

    def drop(self, reason: DropReason) -> None:
        """Counts a frame that was replaced by a newer one."""
        with self._lock:
            self._dropped[reason] += 1

    def count(self, event: Event) -> None:
        """Counts an event."""
        with self._lock:
            self._events[event] += 1

    def engine_failing(self, why: str) -> None:
        """Records why the latest frame bypassed the engine; an empty text means that it did not."""
        with self._lock:
            self._engine_failing = _masked(why)

    def snapshot(self) -> HealthSnapshot:
        """Returns a consistent copy of everything."""
        now = self._clock()
        with self._lock:
            return HealthSnapshot(
                name=self.name,
                live=self.live,
                state=self._state,
                detail=self._detail,
                state_seconds=now - self._since,
                age=None if self._written_at is None else now - self._written_at,
                waited=now - (self._began if self._written_at is None else self._written_at),
                frames_in=self._frames_in,
                frames_out=self._frames_out,
                frames_dry=self._frames_dry,
                dropped={reason: self._dropped[reason] for reason in DROP_REASONS},
                events={event: self._events[event] for event in EVENTS},
                transitions={state: self._transitions[state] for state in STATES},
                latency_counts=tuple(self._latencies),
                latency_sum=self._latency_sum,
                engine_failing=self._engine_failing,
                total=self.total,
            )

    def banner(self) -> str | None:
        """The banner to draw over a picture that has been frozen for more than :data:`FRESH` seconds.

        Returns:
            A short line of ASCII; ``None`` if the picture is fresh or comes from a file.
        """
        now = self._clock()
        with self._lock:
            shown_at = self._lost_at if self._written_at is None else self._written_at
            frozen = now - shown_at
            if not self.live or frozen <= FRESH:
                return None
            seconds = f"{int(frozen)} s"
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


def _masked(text: str) -> str:
    """``text`` without credentials; most frames have no text."""
    return mask(text) if text else ""
