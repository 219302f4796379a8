"""Benchmarks engines side by side in one run: wall time, CPU time and memory.

The engines take turns frame by frame, each round starting with another one, so that other load on the
machine affects all of them alike; ratios are taken within a round. Memory is measured afterwards, for each
engine in its own process (:mod:`runtime.checks.isolated_run`).
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from granet.app.console import Say, UsageError
from granet.app.distinct_names import distinct_names
from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from granet.size_rule import Size
from granet.weights.file_names import is_checkpoint
from runtime.checks.isolated_run import IsolatedRun, run_isolated
from runtime.checks.machine import Machine, this_machine
from runtime.checks.parity_cases import synthetic_rain
from runtime.engines.base import Engine
from runtime.engines.remote.address import ServerAddress
from runtime.media.frame import Pixels
from runtime.open import ENGINES, check_backend, open_engine
from runtime.telemetry.summary import Percentiles, Times

BENCH_SIZE: Size = (320, 480)
"""(height, width) in pixels, the default if all models are dynamic."""

_PICTURES = 4
_SETTLE = 0.02
"""Seconds to wait after a frame until the engine's threads stop spinning; their CPU time counts."""

_WHAT_RUNS_WHERE = (
    "checkpoints run in torch, engines in tensorrt, ONNX files in the other backends, and a server chooses "
    "its own"
)

_TIMING_SHARE = 0.8
"""Share of the progress for timing; the rest is for measuring memory."""


@dataclass(frozen=True)
class BenchSubject:
    """A model, backend and device to measure, as :func:`open_engine` takes them."""

    model: Path
    backend: str = "auto"
    device: str = "auto"


@dataclass(frozen=True)
class BenchResult:
    """The result of one engine.

    Attributes:
        model: file name of the model; with folders if another one has the same.
        backend: the backend that ran it.
        device: the device that it ran on.
        description: the engine's description with versions, in one line.
        fitting: how the frames were fitted to the graph, see :class:`FittingPlan`.
        ms: wall time per frame, in milliseconds.
        cpu_ms: mean CPU time per frame over all threads, in core-milliseconds.
        least_cpu_ms: the least CPU time of a frame; other programs disturb it less than the mean.
        fps: frames per second, over the total time.
        wall_ratio: wall time relative to the first engine; the median over the rounds.
        cpu_ratio: total CPU time relative to the first engine.
        peak_bytes: peak resident host memory of a process with only this engine; ``None`` if the system
            does not report it (Windows).
        baseline_bytes: the part of it that Python, numpy, OpenCV and a frame use before the backend is
            loaded; ``None`` likewise.
        gpu_bytes: memory on the GPU, see :class:`runtime.checks.isolated_run.IsolatedRun`.
    """

    model: str
    backend: str
    device: str
    description: str
    fitting: str
    ms: Percentiles
    cpu_ms: float
    least_cpu_ms: float
    fps: float
    wall_ratio: float
    cpu_ratio: float
    peak_bytes: int | None
    baseline_bytes: int | None
    gpu_bytes: int | None = None


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


def pair(
    models: Sequence[Path], backends: Sequence[str], device: str, say: Say = lambda message: None
) -> list[BenchSubject]:
    """Pairs every model with every backend that can run it, or with ``auto`` if no backend is named.

    Checkpoints run in torch, engines in tensorrt and ONNX files in the others; ``say`` gets one line on
    the pairs that are left out for this reason.

    Raises:
        UserError: if a backend is unknown.
        UsageError: if a model or a backend would be left out completely.
    """
    for backend in backends:
        check_backend(backend)
    pairs = [(model, backend) for model in models for backend in backends or ("auto",)]
    possible = [(model, backend) for model, backend in pairs if _can_run(model, backend)]
    left_out = [one for one in pairs if one not in possible]
    for model, backend in left_out:
        if model not in {other for other, _ in possible} or backend not in {other for _, other in possible}:
            raise UsageError(f"{model}: {backend} cannot run it: {_WHAT_RUNS_WHERE}")
    if left_out:
        names = ", ".join(f"{model.name} in {backend}" for model, backend in left_out)
        say(f"skipped: {names}: {_WHAT_RUNS_WHERE}")
    return [BenchSubject(model, backend, device) for model, backend in possible]


def _is_remote(subject: BenchSubject) -> bool:
    return ServerAddress.parse(subject.model) is not None


def _can_run(model: Path, backend: str) -> bool:
    if ServerAddress.parse(model) is not None:
        return backend == "auto"
    is_engine = model.suffix.lower() in ENGINES
    own = "torch" if is_checkpoint(model) else "tensorrt" if is_engine else None
    return backend in ("auto", own) or (own is None and backend not in ("torch", "tensorrt"))


def measure_bench(
    subjects: Sequence[BenchSubject],
    size: Size | None = None,
    frames: int = 20,
    warm_up: int = 3,
    progress: Progress = no_progress,
) -> BenchReport:
    """Measures engines on frames of synthetic rain.

    Args:
        subjects: the models, at least one.
        size: (height, width) in pixels (default: the size of the static models, else
            :data:`BENCH_SIZE`).
        frames: timed frames per engine; at least 1.
        warm_up: untimed frames per engine before those.
        progress: called after each step with the share that is done.

    Raises:
        UserError: if an engine cannot be opened or run, or static models have different sizes and
            ``size`` is not given.
    """
    with ExitStack() as stack:
        engines = [stack.enter_context(open_engine(one.model, one.device, one.backend)) for one in subjects]
        size = size or _common_size(engines)
        names = distinct_names([one.model for one in subjects])
        timings = [_Timing(engine, name) for engine, name in zip(engines, names, strict=True)]
        plans = [engine.plan(*size).description for engine in engines]
        _take_turns(timings, size, frames, warm_up, progress)
    # The engines are closed first, because memory may not suffice for a large frame in two processes.
    results = []
    for index, (one, timing, plan) in enumerate(zip(subjects, timings, plans, strict=True)):
        info = timing.engine.info
        # A server chooses its device and backend, and neither can be asked for.
        device, backend = (one.device, one.backend) if _is_remote(one) else (info.device, info.backend)
        isolated = run_isolated(one.model, size, device=device, backend=backend)
        results.append(timing.result(timings[0], plan, isolated))
        share = _TIMING_SHARE + (1 - _TIMING_SHARE) * (index + 1) / len(subjects)
        progress(share, 1.0, f"memory of {timing.name}")
    return BenchReport(this_machine(), size, frames, warm_up, tuple(results))


class _Timing:
    """The times of one engine, under the name that tells it from the others."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def take(self, frame: Pixels) -> None:
        """Times one frame."""
        cpu_start, start = time.process_time(), time.perf_counter()
        self.engine.run(frame)
        self.seconds.append(time.perf_counter() - start)
        time.sleep(_SETTLE)
        self.cpu_seconds.append(time.process_time() - cpu_start)

    def result(self, first: "_Timing", plan: str, isolated: IsolatedRun) -> BenchResult:
        """The result of this engine, with ratios to ``first``."""
        info, times = self.engine.info, Times()
        for seconds in self.seconds:
            times.add(seconds)
        return BenchResult(
            model=self.name,
            backend=info.backend,
            device=info.device,
            description=info.description,
            fitting=plan,
            ms=times.percentiles(),
            cpu_ms=round(1e3 * sum(self.cpu_seconds) / len(self.cpu_seconds), 3),
            least_cpu_ms=round(1e3 * min(self.cpu_seconds), 3),
            fps=round(len(self.seconds) / sum(self.seconds), 3),
            wall_ratio=round(float(np.median(np.divide(self.seconds, first.seconds))), 4),
            cpu_ratio=round(sum(self.cpu_seconds) / sum(first.cpu_seconds), 4),
            peak_bytes=isolated.peak_bytes,
            baseline_bytes=isolated.baseline_bytes,
            gpu_bytes=isolated.gpu_bytes,
        )


def _take_turns(timings: list[_Timing], size: Size, frames: int, warm_up: int, progress: Progress) -> None:
    pictures = [case.frames for case in synthetic_rain(size, count=_PICTURES)]
    for index in range(warm_up + frames):
        picture = pictures[index % len(pictures)]
        turn = index % len(timings)
        for timing in timings[turn:] + timings[:turn]:
            if index < warm_up:
                timing.engine.run(picture)
            else:
                timing.take(picture)
        share = _TIMING_SHARE * (index + 1) / (warm_up + frames)
        progress(share, 1.0, "warm-up" if index < warm_up else "timing")


def _common_size(engines: Sequence[Engine]) -> Size:
    """The size of the static models, or the default if all are dynamic."""
    fits = [engine.info.fit for engine in engines]
    sizes = {(fit.height, fit.width) for fit in fits if fit.height is not None and fit.width is not None}
    if len(sizes) > 1:
        names = ", ".join(sorted(f"{width}x{height}" for height, width in sizes))
        raise UserError(f"the models are static and have different sizes ({names}): choose one with --size")
    return next(iter(sizes), BENCH_SIZE)
