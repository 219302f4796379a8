"""Summary of a run: frame counts, times and their percentiles."""

import random
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_KEPT = 10_000
_SEED = 2019


@dataclass(frozen=True)
class Percentiles:
    """50th, 90th and 99th percentile in milliseconds; 0 without frames."""

    p50: float
    p90: float
    p99: float


class Times:
    """Percentiles of any number of times in bounded memory.

    Percentiles are exact up to 10,000 times; beyond that they come from a uniform sample of 10,000
    (reservoir sampling, Vitter 1985). All memory is allocated at the start, so that the memory of a long
    run does not seem to grow.
    """

    def __init__(self) -> None:
        self._kept = np.zeros(_KEPT)
        self._seen = 0
        self._random = random.Random(_SEED)

    def add(self, seconds: float) -> None:
        """Adds one time."""
        place = self._seen if self._seen < _KEPT else self._random.randrange(self._seen + 1)
        self._seen += 1
        if place < _KEPT:
            self._kept[place] = seconds

    def percentiles(self) -> Percentiles:
        """The percentiles in milliseconds, rounded to the microsecond."""
        if not self._seen:
            return Percentiles(0.0, 0.0, 0.0)
        kept = self._kept[: self._seen]
        p50, p90, p99 = (round(float(1e3 * x), 3) for x in np.percentile(kept, [50, 90, 99]))
        return Percentiles(p50, p90, p99)


@dataclass(frozen=True)
class Summary:
    """One run; the fields are those of ``granet-run --json``.

    Attributes:
        frames_in: frames read, including dropped ones.
        frames_out: frames written.
        complete: whether the run reached the end of its source, or the number of frames that was asked for,
            and no picture was left out.
        dropped: frames of a live source that were replaced by newer ones.
        seconds: time from the first read to the end of the output.
        fps: frames written per second.
        latency_ms: time from reading a frame to writing it.
        engine_ms: the part of it spent in the engine.
        backend: backend of the engine.
        device: device of the engine.
        model: file name of the model.
    """

    frames_in: int
    frames_out: int
    complete: bool
    dropped: int
    seconds: float
    fps: float
    latency_ms: Percentiles
    engine_ms: Percentiles
    backend: str
    device: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        """The summary in one line, for people."""
        dropped = f", {self.dropped} dropped" if self.dropped else ""
        latency, engine = self.latency_ms, self.engine_ms
        frames = f"{self.frames_out} frame{'' if self.frames_out == 1 else 's'}"
        return (
            f"{frames} in {self.seconds:.1f} s, {self.fps:.1f} fps{dropped}; "
            f"latency {latency.p50:.0f} ms (p99 {latency.p99:.0f}), "
            f"engine {engine.p50:.1f} ms (p99 {engine.p99:.1f})"
        )
