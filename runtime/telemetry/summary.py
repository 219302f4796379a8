"""What a run took: counts, times and their percentiles."""

import random
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_KEPT = 10_000
_SEED = 2019


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds that half, 90% and 99% of the frames took at most; 0 without frames."""

    p50: float
    p90: float
    p99: float


class Times:
    """Percentiles of any number of times in bounded memory.

    Exact up to 10,000; beyond, of a uniform sample of that many (reservoir sampling, Vitter 1985). The
    memory for all of them is taken at once, so that a long run shows no growth that is none.
    """

    def __init__(self) -> None:
        self._kept = np.zeros(_KEPT)
        self._seen = 0
        self._random = random.Random(_SEED)

    def add(self, seconds: float) -> None:
        """Takes one time."""
        place = self._seen if self._seen < _KEPT else self._random.randrange(self._seen + 1)
        self._seen += 1
        if place < _KEPT:
            self._kept[place] = seconds

    def percentiles(self) -> Percentiles:
        """In milliseconds, to the microsecond."""
        if not self._seen:
            return Percentiles(0.0, 0.0, 0.0)
        kept = self._kept[: self._seen]
        p50, p90, p99 = (round(float(1e3 * x), 3) for x in np.percentile(kept, [50, 90, 99]))
        return Percentiles(p50, p90, p99)


@dataclass(frozen=True)
class Summary:
    """One run; the fields are those of ``granet-run --json``.

    Attributes:
        frames_in: frames read, those that were dropped included.
        frames_out: frames written.
        dropped: frames of a live source that gave way to newer ones.
        seconds: from the first read to the end of the output.
        fps: frames written a second.
        latency_ms: from a frame's being read to its being written.
        engine_ms: of that, in the engine.
        backend: of the engine.
        device: of the engine.
        model: file name.
    """

    frames_in: int
    frames_out: int
    dropped: int
    seconds: float
    fps: float
    latency_ms: Percentiles
    engine_ms: Percentiles
    backend: str
    device: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """One line, for people."""
        dropped = f", {self.dropped} dropped" if self.dropped else ""
        latency, engine = self.latency_ms, self.engine_ms
        return (
            f"{self.frames_out} frames in {self.seconds:.1f} s, {self.fps:.1f} a second{dropped}; "
            f"latency {latency.p50:.0f} ms (p99 {latency.p99:.0f}), "
            f"engine {engine.p50:.1f} ms (p99 {engine.p99:.1f})"
        )
