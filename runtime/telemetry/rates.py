"""What a run does just now, for the status line and the page: rates and times of the last seconds."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

from runtime.telemetry.health import LATENCY_BOUNDS, Health, HealthSnapshot, State

WINDOW = 5.0
"""Seconds that rates and times are taken over."""

_APART = 0.2


@dataclass(frozen=True)
class Figures:
    """One moment of a run.

    Attributes:
        name: of the stream; has no credentials.
        state: of the source.
        detail: why it is in that state.
        fps: frames written a second.
        latency_ms: mean of the frames written in the last seconds, from decoded to handed to the sinks;
            ``None`` if there were none.
        latency_p99_ms: 99% of them took at most this; a bound of a histogram's bucket.
        frames: written since the start.
        dropped: frames that gave way to newer ones, since the start.
        reconnects: since the start.
        faults: of the engine and of sinks, since the start.
        engine_failing: why the newest frame is not derained; empty if it is.
        age_s: seconds since the last frame was written; ``None`` before the first.
    """

    name: str
    state: State
    detail: str
    fps: float
    latency_ms: float | None
    latency_p99_ms: float | None
    frames: int
    dropped: int
    reconnects: int
    faults: int
    engine_failing: str
    age_s: float | None

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class LiveFigures:
    """Figures of one stream; may be asked from any thread, as often as one likes.

    Args:
        health: of the stream.
        clock: seconds that only go forward.
    """

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._health, self._clock = health, clock
        self._lock = threading.Lock()
        self._kept: deque[tuple[float, HealthSnapshot]] = deque([(clock(), health.snapshot())])

    def now(self) -> Figures:
        """The figures of the last :data:`WINDOW` seconds."""
        new, at = self._health.snapshot(), self._clock()
        with self._lock:
            if at - self._kept[-1][0] >= _APART:
                self._kept.append((at, new))
            while len(self._kept) > 2 and at - self._kept[1][0] >= WINDOW:
                self._kept.popleft()
            then, old = self._kept[0]
        frames = new.frames_out - old.frames_out
        counts = [a - b for a, b in zip(new.latency_counts, old.latency_counts, strict=True)]
        return Figures(
            name=new.name,
            state=new.state,
            detail=new.detail,
            fps=round(frames / (at - then), 1) if at > then else 0.0,
            latency_ms=round(1e3 * (new.latency_sum - old.latency_sum) / frames, 1) if frames else None,
            latency_p99_ms=_bound(counts, 0.99) if frames else None,
            frames=new.frames_out,
            dropped=sum(new.dropped.values()),
            reconnects=new.events["reconnect"],
            faults=new.events["engine_fault"] + new.events["sink_fault"],
            engine_failing=new.engine_failing,
            age_s=None if new.age is None else round(new.age, 1),
        )


def _bound(counts: list[int], share: float) -> float | None:
    """Milliseconds that ``share`` of the frames took at most; ``None`` if beyond the last bound."""
    needed, seen = share * sum(counts), 0
    for bound, count in zip(LATENCY_BOUNDS, counts, strict=False):
        seen += count
        if seen >= needed:
            return 1e3 * bound
    return None
