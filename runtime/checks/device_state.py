"""Reads power mode, clocks, temperatures and GPUs from the system.

Linux has them in files (https://docs.kernel.org/admin-guide/abi-testing.html), NVIDIA in ``nvpmodel`` on a
Jetson and in ``nvidia-smi`` elsewhere. Missing values are left out; nothing is estimated.
"""

import csv
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from granet.app.outside_text import decoded

ROOT = Path("/")
_SECONDS = 20.0

_GPU_DEVICES = ("gpu", "gv11b", "ga10b", "gb10b")
"""Parts of the names that the drivers of Jetson GPUs have in devfreq."""

Run = Callable[[Sequence[str]], "str | None"]
"""Runs a program and returns what it prints; ``None`` if it is missing or fails."""


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU.

    Attributes:
        name: name of the product.
        driver: version of the driver.
        memory_mib: memory in MiB; ``None`` if it is the system's, as on a Jetson.
    """

    name: str
    driver: str
    memory_mib: float | None


@dataclass(frozen=True)
class DeviceState:
    """The state of a device at one moment.

    Attributes:
        clocks_mhz: clock -> MHz; of the CPU cores the mean.
        temperatures_c: sensor -> degrees Celsius.
        power_w: GPU -> watts that it draws.
    """

    clocks_mhz: dict[str, float]
    temperatures_c: dict[str, float]
    power_w: dict[str, float]


def run_program(command: Sequence[str]) -> str | None:
    """See :data:`Run`."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return decoded(done.stdout) if done.returncode == 0 else None


def operating_system(root: Path = ROOT) -> dict[str, str]:
    """Names of the board, the operating system and NVIDIA's Linux for Jetson, each if there is one."""
    found = {"board": _read(root / "proc/device-tree/model")}
    release = _read(root / "etc/nv_tegra_release")
    found["Jetson Linux"] = release.split(", GCID")[0].lstrip("# ") if release else None
    for line in (_read(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            found["system"] = line.partition("=")[2].strip('"')
    found.setdefault("system", platform.system())
    return {name: text for name, text in found.items() if text}


def power_modes(root: Path = ROOT, run: Run = run_program) -> dict[str, str]:
    """Power settings by the name of what sets them; empty if the system has none."""
    found = {
        "platform profile": _read(root / "sys/firmware/acpi/platform_profile"),
        "CPU governor": _read(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"),
    }
    for line in (run(["nvpmodel", "-q"]) or "").splitlines():
        if line.startswith("NV Power Mode:"):
            found["nvpmodel"] = line.partition(":")[2].strip()
    for number, (limit, state) in enumerate(_nvidia(run, "power.limit", "pstate")):
        if (watts := _number(limit)) is not None:
            found[f"GPU {number} power limit"] = f"{watts:g} W"
        if state.startswith("P"):
            found[f"GPU {number} performance state"] = state
    return {name: text for name, text in found.items() if text}


def gpus(run: Run = run_program) -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that the driver lists."""
    rows = _nvidia(run, "name", "driver_version", "memory.total")
    return tuple(Gpu(name, driver, _number(memory)) for name, driver, memory in rows)


def gpu_memory_used(index: int, run: Run = run_program) -> int | None:
    """Bytes in use on a GPU by all programs; ``None`` if the driver does not say.

    A Jetson's does not. With several GPUs it counts them in another order than CUDA, which may see a part of
    them only, so the figure could be that of another GPU.
    """
    used = [_number(row[0]) for row in _nvidia(run, "memory.used")]
    mebibytes = used[0] if len(used) == 1 and index == 0 else None
    return None if mebibytes is None else round(mebibytes * 2**20)


def device_state(root: Path = ROOT, run: Run = run_program) -> DeviceState:
    """Clocks, temperatures and power at this moment."""
    clocks, temperatures = dict(_clocks(root)), dict(_temperatures(root))
    power: dict[str, float] = {}
    rows = _nvidia(run, "clocks.sm", "clocks.mem", "temperature.gpu", "power.draw")
    for number, row in enumerate(rows):
        compute, memory, warmth, watts = (_number(text) for text in row)
        for kept, name, value in (
            (clocks, f"GPU {number}", compute),
            (clocks, f"GPU {number} memory", memory),
            (temperatures, f"GPU {number}", warmth),
            (power, f"GPU {number}", watts),
        ):
            if value is not None:
                kept[name] = value
    return DeviceState(clocks, temperatures, power)


def _clocks(root: Path) -> Iterator[tuple[str, float]]:
    policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    for name, file in (("CPU", "scaling_cur_freq"), ("CPU maximum", "scaling_max_freq")):
        kilohertz = [value for each in policies if (value := _number(_read(each / file))) is not None]
        if kilohertz:
            yield name, round(sum(kilohertz) / len(kilohertz) / 1e3, 1)
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        if any(part in device.name for part in _GPU_DEVICES):
            for name, file in (("", "cur_freq"), (" maximum", "max_freq")):
                if (hertz := _number(_read(device / file))) is not None:
                    yield f"{device.name}{name}", round(hertz / 1e6, 1)


def _temperatures(root: Path) -> Iterator[tuple[str, float]]:
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        millidegrees = _number(_read(zone / "temp"))
        if millidegrees is not None and millidegrees > 0:  # a sensor that is off says 0 or less
            yield _read(zone / "type") or zone.name, round(millidegrees / 1e3, 1)


def _nvidia(run: Run, *fields: str) -> list[list[str]]:
    """A row of values for each GPU."""
    text = run(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"])
    rows = list(csv.reader((text or "").splitlines(), skipinitialspace=True))
    return [row for row in rows if len(row) == len(fields)]


def _number(text: str | None) -> float | None:
    """The number in ``text``; ``None`` if it is not a number, such as ``[N/A]``."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _read(path: Path) -> str | None:
    """A file in one piece; ``None`` if it is missing or a sensor does not answer."""
    try:
        return decoded(path.read_bytes()).strip().strip("\0") or None
    except OSError:
        return None
