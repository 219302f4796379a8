"""State of a device, from the output of real systems: a Jetson, a PC with a GPU, and neither."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.checks.device_state import (
    device_state,
    gpu_memory_used,
    gpus,
    operating_system,
    power_modes,
    run_program,
)

NVPMODEL = "NVPM WARN: patching tpc_pg_mask\nNV Power Mode: MODE_30W\n2\n"


def nothing(command: Sequence[str]) -> str | None:
    return None


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def jetson(tmp_path: Path) -> Path:
    return put(
        tmp_path,
        {
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
            "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
            "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "729600\n",
            "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1728000\n",
            "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil\n",
            "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq": "1728000\n",
            "sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq": "1728000\n",
            "sys/class/devfreq/17000000.gpu/cur_freq": "612000000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "624750000\n",
            "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "48531\n",
            "sys/class/thermal/thermal_zone1/type": "cv0-thermal\n",
            "sys/class/thermal/thermal_zone1/temp": "-256000\n",
            "sys/class/thermal/thermal_zone2/type": "dead-thermal\n",
        },
    )


def on_jetson(command: Sequence[str]) -> str | None:
    if command[0] == "nvpmodel":
        return NVPMODEL
    # nvidia-smi of JetPack 6 knows the GPU and little else.
    fields = command[1].removeprefix("--query-gpu=").split(",")
    known = {"name": "Orin (nvgpu)", "driver_version": "540.4.0"}
    return ", ".join(known.get(field, "[N/A]") for field in fields) + "\n"


def on_pc(command: Sequence[str]) -> str | None:
    if command[0] != "nvidia-smi":
        return None
    known = {
        "name": "NVIDIA GeForce RTX 4090", "driver_version": "570.86.10", "memory.total": "24564",
        "memory.used": "1530", "clocks.sm": "2520", "clocks.mem": "10501", "temperature.gpu": "61",
        "power.draw": "318.42", "power.limit": "450.00", "pstate": "P2",
    }  # fmt: skip
    fields = command[1].removeprefix("--query-gpu=").split(",")
    assert command[2] == "--format=csv,noheader,nounits"
    return ", ".join(known[field] for field in fields) + "\n"


def test_a_jetson(jetson: Path) -> None:
    assert operating_system(jetson) == {
        "board": "NVIDIA Jetson AGX Orin Developer Kit",
        "Jetson Linux": "R36 (release), REVISION: 4.3",
        "system": "Ubuntu 22.04.5 LTS",
    }
    assert power_modes(jetson, on_jetson) == {"CPU governor": "schedutil", "nvpmodel": "MODE_30W"}
    state = device_state(jetson, on_jetson)
    # The mean of 729.6 and 1728; the video processor is not a GPU; sensors that are off or dead are left out.
    assert state.clocks_mhz == {
        "CPU": 1228.8,
        "CPU maximum": 1728.0,
        "17000000.gpu": 612.0,
        "17000000.gpu maximum": 624.8,
    }
    assert state.temperatures_c == {"cpu-thermal": 48.5} and state.power_w == {}
    [gpu] = gpus(on_jetson)
    assert (gpu.name, gpu.memory_mib) == ("Orin (nvgpu)", None)
    assert gpu_memory_used(0, on_jetson) is None


def test_a_pc_with_a_gpu(tmp_path: Path) -> None:
    put(tmp_path, {"sys/firmware/acpi/platform_profile": "performance\n"})
    assert power_modes(tmp_path, on_pc) == {
        "platform profile": "performance",
        "GPU 0 power limit": "450 W",
        "GPU 0 performance state": "P2",
    }
    state = device_state(tmp_path, on_pc)
    assert state.clocks_mhz == {"GPU 0": 2520.0, "GPU 0 memory": 10501.0}
    assert (state.temperatures_c, state.power_w) == ({"GPU 0": 61.0}, {"GPU 0": 318.42})
    assert gpu_memory_used(0, on_pc) == 1530 * 2**20
    assert gpu_memory_used(1, on_pc) is None
    assert [(gpu.name, gpu.driver, gpu.memory_mib) for gpu in gpus(on_pc)] == [
        ("NVIDIA GeForce RTX 4090", "570.86.10", 24564.0)
    ]


def test_the_memory_of_one_of_several_gpus_is_unknown() -> None:
    """The driver counts GPUs by their slots and lists those that CUDA does not see."""

    def two(command: Sequence[str]) -> str | None:
        return "1530\n20000\n"

    assert gpu_memory_used(0, two) is None and gpu_memory_used(1, two) is None


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    assert power_modes(tmp_path, nothing) == {} and gpus(nothing) == ()
    state = device_state(tmp_path, nothing)
    assert (state.clocks_mhz, state.temperatures_c, state.power_w) == ({}, {}, {})


def test_a_program_that_is_missing_or_fails_tells_nothing() -> None:
    assert run_program(["no-such-program-here"]) is None
    assert run_program(["false"]) is None
    assert run_program(["echo", "this"]) == "this\n"
