"""Rates and latencies of the last seconds of a run, for the status line and the page."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

from runtime.telemetry.health import LATENCY_BOUNDS, Health, HealthSnapshot, State

WINDOW = 5.0
"""Length of the window for rates and latencies, in seconds."""

_APART = 0.2
"""Least seconds between two snapshots that are kept."""


@dataclass(frozen=True)
class Figures:
    """The figures of a run at one moment.

    Attributes:
        name: name of the stream; contains no credentials.
        state: state of the source.
        detail: reason for the state.
        fps: frames written per second.
        latency_ms: mean latency from decoding to the sinks, over the window; ``None`` if no frame was
            written in it.
        latency_p99_ms: 99th percentile of the same latency, rounded up to a bound of the histogram;
            ``None`` beyond the last bound or without frames.
        frames: frames written since the start.
        dropped: frames replaced by newer ones since the start.
        reconnects: reconnects since the start.
        faults: faults of the engine and of sinks since the start.
        engine_failing: why the latest frame bypassed the engine; empty if it did not.
        age_s: seconds since the last frame was written; ``None`` before the first.
        live: whether frames arrive at their own pace (a camera or a broadcast, not a file).
        total: frames that a run of a file will write; ``None`` if unknown. An estimate for a video.
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
    live: bool
    total: int | None

    def to_dict(self) -> dict[str, object]:
        """The figures as JSON values."""
        return asdict(self)


class LiveFigures:
    """Computes the figures of one stream. May be called from any thread, at any rate.

    Args:
        health: health of the stream.
        clock: returns monotonic seconds.
    """

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._health, self._clock = health, clock
        self._lock = threading.Lock()
        self._kept: deque[tuple[float, HealthSnapshot]] = deque([(clock(), health.snapshot())])

    def now(self) -> Figures:
        """The figures over the last :data:`WINDOW` seconds."""
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
            live=new.live,
            total=new.total,
        )


def _bound(counts: list[int], share: float) -> float | None:
    """Upper bound in milliseconds of the quantile ``share``; ``None`` beyond the last bound."""
    needed, seen = share * sum(counts), 0
    for bound, count in zip(LATENCY_BOUNDS, counts, strict=False):
        seen += count
        if seen >= needed:
            return 1e3 * bound
    return None
