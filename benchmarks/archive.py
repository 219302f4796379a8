"""What an archive of 60,000 segments costs beyond the network: ``python -m benchmarks.archive``.

2,000 hours in segments of two minutes are 60,000 segments. Here each has two tiny frames, and an engine that
sleeps stands for the network, so that what is measured is everything else:

- **planning**: one plan of all recordings, and that plan read again;
- **scheduling and joining**: Ray's own multi-node test cluster (``--nodes`` nodes on this machine, one
  worker each, small object stores), the real driver, real segments (decoded, encoded, decoded again, synced,
  published) and real joining. The driver's memory is read while it runs;
- **real work**: the packaged model on drawn rain, one worker process against two, in turns;
- **the price**: what 2,000 hours take on N such machines, by the rate of the real work.

Nothing is copied: all recordings are hard links of one file. The
processor time of Ray is that of all its processes without the driver, the workers' included. Linux only.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from ray.cluster_utils import Cluster

from granet.size_rule import SizeRule
from runtime.archive.driver import Driver, Tally
from runtime.archive.inputs import Selection, find_recordings
from runtime.archive.job_folder import JobFolder
from runtime.archive.plan import Plan, Settings
from runtime.archive.planning import make_plan
from runtime.archive.pool import LocalPool
from runtime.archive.ray_pool import RayPool
from runtime.archive.status import status_of
from runtime.archive.tasks import Work
from runtime.checks import end_to_end
from runtime.checks.machine import this_machine
from runtime.engines.base import Engine, EngineInfo, GraphEngine
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Pixels

MODEL = Path(__file__).parents[1] / "runtime" / "models" / "lite.onnx"
HOURS, RATE, FULL_SIZE = 2000, 25, (720, 1280)
"""The archive of the price: its hours, frames a second, and (height, width)."""

FRAMES = 2
"""Of a tiny segment."""

WORKERS = (1, 2)

STORE = 80 << 20
"""Bytes of the object store of a node: Ray's least."""

SLEEP = "GRANET_BENCHMARK_SLEEP"
"""Environment variable: seconds that the engine sleeps for a frame, also in the processes of the cluster."""

SMALLEST = [
    "--segments",
    "8",
    "--recording",
    "4",
    "--nodes",
    "2",
    "--real-frames",
    "4",
    "--real-size",
    "64x48",
    "--real-recordings",
    "2",
    "--rounds",
    "1",
]
"""What ``--smallest`` stands for: a run of seconds that does everything once. Its figures mean nothing."""


class SleepingEngine(GraphEngine):
    """Returns its frames after a while."""

    def __init__(self) -> None:
        self._seconds = float(os.environ[SLEEP])
        fit = FrameFit(SizeRule(multiple=1, extent=None))
        self.info = EngineInfo("sleep", "cpu", "none", "uint8", "bgr", fit, "sleeps")

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        time.sleep(self._seconds * len(batch))
        return (batch.copy(),)


def sleeping(model: Path, device: str, backend: str) -> Engine:
    """Opens the engine that sleeps."""
    return SleepingEngine()


@dataclass
class Memory:
    """Resident memory of this process at equal steps of some work.

    Attributes:
        mib: one figure for each step.
    """

    steps: int = 10
    mib: list[float] = field(default_factory=list)

    def progress(self, done: int, total: int | None, note: str) -> None:
        """As a progress of the product."""
        while total and done * self.steps >= len(self.mib) * total and len(self.mib) <= self.steps:
            self.mib.append(resident())

    def __str__(self) -> str:
        return " ".join(f"{each:.0f}" for each in self.mib)


def resident() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_seconds_of_ray() -> float:
    """Processor time of all processes below this one: they serve the cluster and work in it."""
    ticks, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    return sum(ticks[pid] for pid in ticks if _is_below(pid, parents)) / os.sysconf("SC_CLK_TCK")


def _is_below(pid: int, parents: dict[int, int]) -> bool:
    while (pid := parents.get(pid, 0)) > 1:
        if pid == os.getpid():
            return True
    return False


def draw(source: Path, segments: int, recording: int) -> None:
    """Makes the recordings: hard links of one tiny video with a key frame every second."""
    first = source / "0" / "0.mp4"
    first.parent.mkdir(parents=True)
    with av.open(str(first), "w") as container:
        video = container.add_stream("libx264", rate=FRAMES, options={"g": str(FRAMES), "sc_threshold": "0"})
        video.height, video.width, video.pix_fmt = 32, 48, "yuv420p"
        for index in range(FRAMES * recording):
            pixels = np.full((32, 48, 3), 16 + index % 200, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "bgr24")))
        container.mux(video.encode())
    for number in range(1, segments // recording):
        path = source / str(number // 100) / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(first)


def planned(folder: Path, options: argparse.Namespace) -> tuple[JobFolder, Plan]:
    """Plans the job and prints what it took."""
    draw(folder / "src", options.segments, options.recording)
    settings = Settings("sleep", "0" * 64, "benchmark", 1.0)
    job = JobFolder(folder / "dst", settings.job)
    job.make()
    recordings = find_recordings(str(folder / "src"), Selection())
    memory, cpu, wall = Memory(), time.process_time(), time.perf_counter()
    plan = make_plan(job, recordings, settings, "src", print, memory.progress)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    segments = sum(len(file.segments) for file in plan)
    row("planned", segments, cpu, 0.0, wall, memory)
    memory, cpu, wall = Memory(), time.process_time(), time.perf_counter()
    make_plan(job, recordings, settings, "src", print, memory.progress)
    memory.progress(1, 1, "")
    row(
        "the same plan found again",
        segments,
        time.process_time() - cpu,
        0.0,
        time.perf_counter() - wall,
        memory,
    )
    return job, plan


def row(what: str, segments: int, cpu: float, ray_cpu: float, wall: float, memory: Memory) -> None:
    """Prints a line of the table of overheads."""
    each = [f"{1e3 * value / segments:.2f}" for value in (cpu, ray_cpu, wall)]
    print(f"| {what} | {segments} | {' | '.join(each)} | {wall:.0f} | {memory} |", flush=True)


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """Ray's test cluster: a head that does no work, and nodes with one processor each."""
    store = {"object_store_memory": STORE}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store})
    try:
        for _ in range(nodes):
            made.add_node(wait=False, num_cpus=1, **store)
        made.wait_for_nodes(timeout=300)
        yield made.address
    finally:
        made.shutdown()


def on_ray(job: JobFolder, plan: Plan, options: argparse.Namespace) -> None:
    """Works the plan off on the cluster and prints what it took."""
    work = Work(job.storage, job.job, MODEL, "cpu", opened=sleeping)
    total = sum(file.frames for file in plan)
    os.environ[SLEEP] = str(options.sleep / FRAMES)
    with cluster(options.nodes) as address, RayPool(work, address, options.nodes) as pool:
        memory = Memory()
        driver = Driver(job, pool, plan, total, announce=print, progress=memory.progress)
        before, cpu, wall = processor_seconds_of_ray(), time.process_time(), time.perf_counter()
        tally = driver.run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        others = processor_seconds_of_ray() - before
    row(f"scheduled and joined, {options.nodes} nodes", tally.segments, cpu, others, wall, memory)
    check(tally, job, plan)
    ideal = tally.segments * options.sleep / options.nodes
    print(f"\nThe engine sleeps {options.sleep} s a segment: {ideal:.0f} s of the {wall:.0f} s at best.")


def check(tally: Tally, job: JobFolder, plan: Plan) -> None:
    """Ends the benchmark if anything is missing."""
    status = status_of(job, plan)
    if tally.failed or tally.lost or not status.is_complete or status.frames_done != status.frames:
        sys.exit(f"the job is not complete: {tally}, {status}")


def real_work(folder: Path, options: argparse.Namespace) -> list[dict[int, float]]:
    """Frames per second with one worker and with two, measured in turns; prints them and their ratio."""
    source, size = folder / "rain", options.real_size
    source.mkdir()
    first = end_to_end.make_clip(source / "0.mp4", size, options.real_frames)
    for number in range(1, max(WORKERS) + options.real_recordings):
        (source / f"{number}.mp4").hardlink_to(first)
    rates = []
    print(
        f"\n| frames of {size[1]}x{size[0]} a second | 1 worker | 2 workers | ratio |\n|---|---:|---:|---:|"
    )
    for number in range(options.rounds):
        order = WORKERS if number % 2 == 0 else WORKERS[::-1]
        rates.append({workers: rate(source, folder / f"{number}-{workers}", workers) for workers in order})
        one, two = (rates[-1][workers] for workers in WORKERS)
        print(f"| round {number + 1} | {one:.2f} | {two:.2f} | {two / one:.2f} |", flush=True)
    return rates


def rate(source: Path, destination: Path, workers: int) -> float:
    """Frames per second; every worker does one recording before the clock starts, and so opens its model."""
    settings = Settings(MODEL.name, "0" * 64, "benchmark", 1.0)
    job = JobFolder(destination, settings.job)
    job.make()
    files = list(make_plan(job, find_recordings(str(source), Selection()), settings, str(source), print))
    with LocalPool(Work(destination, job.job, MODEL, "cpu"), workers) as pool:
        Driver(job, pool, files[:workers], 0).run()
        start = time.perf_counter()
        tally = Driver(job, pool, files[max(WORKERS) :], 0).run()
        return tally.frames / (time.perf_counter() - start)


def price(rates: list[dict[int, float]], size: tuple[int, int]) -> None:
    """Prints what the archive takes on N machines like this one; time grows with the pixels."""
    best = statistics.median(max(each.values()) for each in rates)
    here = best * size[0] * size[1] / (FULL_SIZE[0] * FULL_SIZE[1])
    frames = HOURS * 3600 * RATE
    print(f"\n{HOURS} hours at {RATE} frames a second are {frames / 1e6:.0f} million frames.\n")
    print(
        "| machines | like this one, 1280x720 at " + f"{here:.2g} frames a second | at 100 frames a second |"
    )
    print("|---:|---:|---:|")
    for machines in (1, 5, 20, 100):
        days = [frames / speed / machines / 86400 for speed in (here, 100)]
        print(f"| {machines} | {days[0]:,.1f} days | {days[1]:,.1f} days |")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=60_000)
    parser.add_argument("--recording", type=int, default=30, help="segments of a recording")
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument(
        "--sleep", type=float, default=0.1, help="seconds that the engine sleeps for a segment"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of the real work; 0 for none")
    parser.add_argument("--real-frames", type=int, default=25, help="frames of a recording of the real work")
    parser.add_argument("--real-recordings", type=int, default=8)
    parser.add_argument("--real-size", type=parse_size, default=(320, 480), metavar="WxH")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    options = parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)
    print(f"{this_machine('ray', 'av')}\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print("| | segments | here, core-ms a segment | Ray, core-ms | wall ms | wall s | MiB while it ran |")
        print("|---|---:|---:|---:|---:|---:|---|")
        job, plan = planned(folder, options)
        if options.nodes:
            on_ray(job, plan, options)
        if options.rounds:
            price(real_work(folder, options), options.real_size)


def parse_size(text: str) -> tuple[int, int]:
    """``WxH`` as (height, width)."""
    width, height = text.split("x")
    return int(height), int(width)


if __name__ == "__main__":
    main()
