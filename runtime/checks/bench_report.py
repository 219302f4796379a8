"""The report of a benchmark."""

from dataclasses import asdict, dataclass
from typing import Any

from granet.size_rule import Size
from runtime.checks.machine import Machine
from runtime.telemetry.summary import Percentiles


@dataclass(frozen=True)
class BenchResult:
    """The result of one engine.

    Attributes:
        model: file name of the model.
        backend: the backend that ran it.
        device: the device that it ran on.
        description: the engine's description with versions, in one line.
        fitting: how the frames were fitted to the graph, see :class:`FittingPlan`.
        ms: wall time per frame, in milliseconds.
        cpu_ms: mean CPU time per frame over all threads, in core-milliseconds.
        fps: frames per second, over the total time.
        wall_ratio: wall time relative to the first engine; the median over the rounds.
        cpu_ratio: total CPU time relative to the first engine.
        peak_bytes: peak resident host memory of a process with only this engine; ``None`` if the system
            does not report it (Windows).
        baseline_bytes: the part of it that Python, numpy, OpenCV and a frame use before the backend is
            loaded; ``None`` likewise.
    """

    model: str
    backend: str
    device: str
    description: str
    fitting: str
    ms: Percentiles
    cpu_ms: float
    fps: float
    wall_ratio: float
    cpu_ratio: float
    peak_bytes: int | None
    baseline_bytes: int | None


@dataclass(frozen=True)
class BenchReport:
    """The results of all engines of a run.

    Attributes:
        machine: the machine.
        size: (height, width) of the frames, in pixels.
        frames: timed frames per engine.
        warm_up: untimed frames per engine before those.
        results: one per engine, in the requested order; ratios are to the first.
    """

    machine: Machine
    size: Size
    frames: int
    warm_up: int
    results: tuple[BenchResult, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; ``size`` is [height, width]."""
        return asdict(self)
