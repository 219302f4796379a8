"""CPU cores that this process may use, which can be fewer than the machine has."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""CPU time of a container and its period in microseconds, or ``max`` (cgroup v2)."""


def usable_cores() -> int:
    """Cores of this process's affinity mask (taskset, Slurm), within its container's quota (docker --cpus).

    A quota is rounded up to whole cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _quota() or cores)


def thread_limit() -> int:
    """Threads to ask of a library that counts the machine's cores; 0, its own choice, if all may be used.

    ONNX Runtime starts a thread for each core of the machine and binds it there, whatever the affinity mask
    says.
    """
    cores = usable_cores()
    return cores if cores < (os.cpu_count() or 1) else 0


def _quota() -> int | None:
    try:
        time, period = _QUOTA.read_text().split()
        return max(1, math.ceil(int(time) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no container, no quota (max), or cgroup v1
        return None
