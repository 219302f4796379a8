"""Measures memory and time of one engine in its own process.

``python -m runtime.checks.isolated_run MODEL ...`` is that process; :func:`run_isolated` starts it.
Memory must be measured like this: allocators keep freed memory, so the second engine of a process would
look smaller than it is, and the first one larger.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import typer

from granet.app.console import DebugOption, run_app
from granet.app.outside_text import decoded
from granet.errors import UserError
from runtime.checks.device_state import gpu_memory_used
from runtime.engines.device import Device
from runtime.open import open_engine

TIMEOUT = 600.0
"""Timeout of the process in seconds, including loading."""


@dataclass(frozen=True)
class IsolatedRun:
    """Memory and time of an engine in its own process.

    Attributes:
        peak_bytes: peak resident memory of the whole process: the interpreter, numpy, OpenCV, the
            backend's libraries, the model and the frames. ``None`` if the system does not report it
            (Windows).
        baseline_bytes: the part of it that was in use before the backend was imported and the model
            opened.
        seconds: wall time of each frame; the first one includes one-time work of the backend.
        cpu_seconds: CPU time of each frame, over all threads.
        gpu_bytes: growth of the memory in use on the GPU that the engine runs on, after its frames; that of
            other programs counts. ``None`` without a GPU, or if its driver does not report it (Jetson).
    """

    peak_bytes: int | None
    baseline_bytes: int | None
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    gpu_bytes: int | None = None


def run_isolated(
    model: Path,
    size: tuple[int, int],
    *,
    device: str = "auto",
    backend: str = "auto",
    frames: int = 2,
    timeout: float = TIMEOUT,
) -> IsolatedRun:
    """Runs ``frames`` frames of noise through a model in a new process.

    Args:
        model: a model for :func:`runtime.open.open_engine`.
        size: (height, width) of the frames, in pixels.
        device: as for ``open_engine``.
        backend: as for ``open_engine``.
        frames: number of frames, at least 1.
        timeout: timeout in seconds.

    Raises:
        UserError: if the process fails (with its own message), times out, or is killed, for example
            because memory runs out.
    """
    height, width = size
    arguments = [str(model), str(height), str(width), device, backend, str(frames)]
    command = [sys.executable, "-m", "runtime.checks.isolated_run", "--", *arguments]
    try:
        process = subprocess.run(command, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{model}: timed out after {timeout:g} s at {width}x{height}: choose a smaller --size"
        ) from error
    if process.returncode < 0:
        raise UserError(
            f"{model}: killed by signal {-process.returncode} at {width}x{height}, probably because memory "
            "ran out: choose a smaller --size"
        )
    if process.returncode:
        lines = decoded(process.stderr).strip().splitlines() or [f"{model}: failed without a message"]
        raise UserError(lines[-1].removeprefix("error: "))
    values = json.loads(process.stdout.splitlines()[-1])
    values |= {name: tuple(values[name]) for name in ("seconds", "cpu_seconds")}
    return IsolatedRun(**values)


def peak_bytes() -> int | None:
    """Peak resident memory of this process in bytes; ``None`` on Windows."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a new process inherits the value of its parent.
        (line,) = (line for line in decoded(status.read_bytes()).splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def measure(
    model: Path, height: int, width: int, device: str, backend: str, frames: int, debug: DebugOption = False
) -> None:
    """Measures a model in this process and prints an :class:`IsolatedRun` as JSON."""
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    gpu = Device.parse(device)
    gpu_before = _gpu_bytes(gpu)
    baseline = peak_bytes()
    seconds, cpu_seconds = [], []
    with open_engine(model, device, backend) as engine:
        for _ in range(frames):
            start, cpu_start = time.perf_counter(), time.process_time()
            engine.run(frame)
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(time.process_time() - cpu_start)
        gpu_after = _gpu_bytes(gpu)
    gpu_bytes = None if gpu_before is None or gpu_after is None else max(0, gpu_after - gpu_before)
    run = IsolatedRun(peak_bytes(), baseline, tuple(seconds), tuple(cpu_seconds), gpu_bytes)
    sys.stdout.write(json.dumps(asdict(run)) + "\n")


def _gpu_bytes(device: Device) -> int | None:
    return gpu_memory_used(device.index) if device.kind == "cuda" else None


if __name__ == "__main__":
    raise SystemExit(run_app(app))
