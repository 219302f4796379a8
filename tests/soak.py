"""Runs a live stream that breaks all the time, and prints what it costs: ``python -m tests.soak``.

A camera on the loopback, in a process of its own, serves H.264 over RTSP, and hangs up after a number
of frames. Here the pipeline reads it with an engine that gives its input back, to no output. At
100 moments, resident memory, native memory in use (glibc's ``mallinfo2``; resident is more than that by what
the allocator keeps), threads (FFmpeg's too) and open descriptors of this process are looked at.
The slope of memory is that of a straight line through the second half of them (least squares). The table
has medians of the first and of the last tenth, because a connection may just be closing while another is
opened.

Waits between attempts are a twentieth of the real ones; everything else is as it is in a real run.
"""

import argparse
import gc
import multiprocessing
import sys
import threading
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from statistics import median_low

import numpy as np

from runtime.live.pipeline import Pipeline
from runtime.media.backoff import Backoff
from runtime.sinks.open import NullSink
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import open_source
from runtime.telemetry.health import HealthSnapshot
from tests.runtime.fakes import FakeEngine
from tests.runtime.sources.fault_server import Fake, RtspCamera
from tests.runtime.sources.watching import native_bytes, open_descriptors, resident_bytes, system_threads

_SAMPLES = 100
_WARM_UP = 5
"""Reconnections after which everything that is made once has been made."""


@dataclass
class Sample:
    """Resources of this process at one moment."""

    frames: int
    reconnects: int
    memory: float
    in_use: float
    threads: int
    descriptors: int


@dataclass
class Result:
    """All samples, from the first after the warm-up to the last, and how the stream fared."""

    samples: list[Sample]
    snapshot: HealthSnapshot
    seconds: float

    def slope(self) -> tuple[float, float]:
        """Bytes per frame and per reconnection, over the second half."""
        half = self.samples[len(self.samples) // 2 :]
        memory = [s.memory for s in half]
        return (
            float(np.polyfit([s.frames for s in half], memory, 1)[0]),
            float(np.polyfit([s.reconnects for s in half], memory, 1)[0]),
        )

    def ends(self) -> tuple[Sample, Sample]:
        """The first and the last sample, with what they hold as the median of their neighbours."""
        count = max(3, len(self.samples) // 10)
        first, last = (
            replace(
                sample,
                memory=median_low(s.memory for s in tenth),
                in_use=median_low(s.in_use for s in tenth),
                threads=median_low(s.threads for s in tenth),
                descriptors=median_low(s.descriptors for s in tenth),
            )
            for sample, tenth in (
                (self.samples[0], self.samples[:count]),
                (self.samples[-1], self.samples[-count:]),
            )
        )
        return first, last

    def table(self) -> str:
        """Markdown."""
        first, last = self.ends()
        rows = [
            ("", "after the warm-up", "at the end"),
            ("frames", f"{first.frames:,}", f"{last.frames:,}"),
            ("reconnections", f"{first.reconnects:,}", f"{last.reconnects:,}"),
            ("resident memory, MiB", f"{first.memory / 2**20:.1f}", f"{last.memory / 2**20:.1f}"),
            ("native memory in use, MiB", f"{first.in_use / 2**20:.2f}", f"{last.in_use / 2**20:.2f}"),
            ("threads", f"{first.threads}", f"{last.threads}"),
            ("descriptors", f"{first.descriptors}", f"{last.descriptors}"),
        ]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        (frame, connection), fared = self.slope(), self.snapshot
        return "\n".join(
            [
                lines[0],
                "|---|---:|---:|",
                *lines[1:],
                "",
                f"Resident memory in the second half: {frame:+.2f} bytes a frame "
                f"({frame * 1e5 / 2**20:+.2f} MiB in 100,000), or {connection:+.0f} bytes a reconnection.",
                f"{self.seconds:.0f} s; {fared.frames_out:,} frames written, "
                f"{sum(fared.dropped.values()):,} dropped, {fared.events['corrupt_packet']:,} corrupt "
                f"packets, {fared.events['timestamp_repair']:,} timestamps repaired, "
                f"stalled {fared.transitions['stalled']:,} times.",
            ]
        )


def soak(reconnects: int, frames: int, rate: float = 200.0) -> Result:
    """Runs until there were that many reconnections and frames."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    camera = context.Process(target=_serve, args=(theirs, max(1, frames // reconnects), rate), daemon=True)
    camera.start()
    start = time.monotonic()
    try:
        return _run(ours.recv(), reconnects, frames, start)
    finally:
        ours.send("stop")
        camera.join(10)


def _serve(commands: Connection, frames_each: int, rate: float) -> None:
    with RtspCamera(Fake(rate=rate, frames_each=frames_each)) as camera:
        commands.send(camera.url())
        commands.recv()


def _run(url: str, reconnects: int, frames: int, start: float) -> Result:
    options = LiveOptions(backoff=lambda: Backoff(0.05, 0.05))
    with open_source(url, lambda message: None, options) as source:
        pipeline = Pipeline(source, FakeEngine(), NullSink())
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        samples: list[Sample] = []
        while True:
            time.sleep(0.02)
            snapshot = source.health.snapshot()
            done = snapshot.events["reconnect"]
            if done < _WARM_UP or snapshot.state != "live":
                continue
            finished = done >= reconnects and snapshot.frames_in >= frames
            step = max(1, (reconnects - _WARM_UP) // _SAMPLES)
            if not finished and samples and done < samples[-1].reconnects + step:
                continue
            sample = _sample(snapshot)
            time.sleep(0.02)
            after = source.health.snapshot()
            # Only while frames come: else one connection may be closing, and the next opening.
            if after.frames_in > snapshot.frames_in and after.events["reconnect"] == done:
                samples.append(sample)
                if finished:
                    break
        pipeline.stop()
        thread.join()
        return Result(samples, source.health.snapshot(), time.monotonic() - start)


def _sample(snapshot: HealthSnapshot) -> Sample:
    gc.collect()
    return Sample(
        snapshot.frames_in,
        snapshot.events["reconnect"],
        resident_bytes(),
        native_bytes(),
        system_threads(),
        open_descriptors(),
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reconnects", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=200.0, help="frames a second of the camera")
    wanted = parser.parse_args()
    sys.stdout.write(soak(wanted.reconnects, wanted.frames, wanted.rate).table() + "\n")


if __name__ == "__main__":
    main()
