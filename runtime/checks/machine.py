"""Describes the machine of a measurement, for people."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from granet.app.cores import usable_cores
from granet.app.outside_text import decoded
from granet.app.run_details import installed


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement.

    Attributes:
        cpu: name of the CPU.
        cores: number of logical cores that this process may use.
        memory_gib: memory of the machine in GiB; 0 if unknown.
        system: operating system.
        versions: name -> version of Python and of the relevant packages.
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    versions: dict[str, str]

    def __str__(self) -> str:
        """The machine in one line."""
        memory = f", {self.memory_gib:.0f} GiB" if self.memory_gib else ""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{self.cpu}, {self.cores} cores{memory}, {self.system}; {versions}"


def this_machine(*packages: str) -> Machine:
    """Describes this machine, with the versions of Python, numpy and the installed ones of ``packages``."""
    versions = {"Python": platform.python_version(), "numpy": np.__version__}
    versions |= installed(packages)
    return Machine(
        _cpu(), usable_cores(), _memory_gib(), f"{platform.system()} {platform.machine()}", versions
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in decoded(info.read_bytes()).splitlines():
            if line.split(":")[0].strip() in ("model name", "Model"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):  # Windows
        return 0.0
