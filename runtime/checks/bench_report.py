"""What a benchmark found."""

from dataclasses import asdict, dataclass
from typing import Any

from granet.size_rule import Size
from runtime.checks.machine import Machine
from runtime.telemetry.summary import Percentiles


@dataclass(frozen=True)
class BenchResult:
    """One engine.

    Attributes:
        model: file name.
        backend: that ran it.
        device: that it ran on.
        description: all of that and the versions, in one line.
        fitting: how the frames were brought to the graph, see :class:`FittingPlan`.
        ms: wall time of a frame, milliseconds.
        cpu_ms: processor time of a frame over all threads, core-milliseconds; the mean.
        fps: frames a second, of the total time.
        wall_ratio: wall time over the first engine's; the median over the rounds.
        cpu_ratio: processor time over the first engine's, in all.
        peak_bytes: most memory resident, of a process with that engine alone; host memory, and
            ``None`` where the system does not tell (Windows).
        baseline_bytes: of that, Python, numpy, OpenCV and a frame, before the backend is loaded.
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
    """All engines of a run.

    Attributes:
        machine: where.
        size: (height, width) of the frames, in pixels.
        frames: timed, of each engine.
        warm_up: frames of each engine before those.
        results: in the order asked for; ratios are to the first.
    """

    machine: Machine
    size: Size
    frames: int
    warm_up: int
    results: tuple[BenchResult, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; ``size`` is [height, width]."""
        return asdict(self)
