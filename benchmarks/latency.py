"""The delay of a live picture: ``python -m benchmarks.latency [--engine-ms 40] [--rate 30] [--seconds 20]``.

A camera on the loopback, in a process of its own, draws the time (that of the machine's monotonic
clock, in milliseconds, as 32 black and white blocks) into every frame, and serves it as H.264 over
RTSP. It is read from the pixels twice: where the source gives the frame to the pipeline, and where a
sink gets it. Both are differences to the same clock, so they need no synchronisation.

- *to the source*: drawing, encoding, the network, FFmpeg's demuxer and decoder.
- *to the sink*: all of it.
- *added*: the difference for the same frame, which is what this project adds: waiting for the
  engine, the engine, waiting for the sink.

The aim: *added* is at most two frames of the engine's own rate for 99 of 100 frames, and p99 at most
1.5 times p50. In the engine's place is one that sleeps, so that its rate is known; ``--model`` takes a
real one. The camera is faster than the engine, which is the case in which frames must be dropped.
"""

import argparse
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from runtime.checks.machine import this_machine
from runtime.engines.base import Engine
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Colour, Frame, Pixels
from runtime.open import open_engine
from runtime.sinks.base import Sink
from runtime.sources.base import Source
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import open_source
from tests.runtime.fakes import FakeEngine
from tests.runtime.sources.fault_server import Fake, RtspCamera

SIZE = (96, 256)
_BLOCK = 8
_BITS = 32
_AIM_FRAMES, _AIM_RATIO = 2.0, 1.5

SMALLEST = ["--seconds", "3"]
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""


class ClockFake(Fake):
    """A camera that films a clock."""

    def pixels(self, index: int) -> Pixels:
        """Gray, with the time in its first blocks."""
        frame = np.full((*self.size, 3), 128, np.uint8)
        bits = np.array([_now() >> bit & 1 for bit in range(_BITS)], np.uint8)
        frame[:_BLOCK, : _BLOCK * _BITS] = np.kron(bits, np.full((_BLOCK, _BLOCK), 255, np.uint8))[..., None]
        return frame


def read_clock(pixels: Pixels) -> int:
    """Milliseconds that are drawn into a frame."""
    middles = pixels[_BLOCK // 2, _BLOCK // 2 : _BLOCK * _BITS : _BLOCK, 0]
    return sum(int(middle > 128) << bit for bit, middle in enumerate(middles))


def _now() -> int:
    return int(time.monotonic() * 1000)


class TimedSource(Source):
    """Another source, whose frames are looked at as they come."""

    def __init__(self, source: Source, seen: dict[int, int]) -> None:
        """Fills ``seen``: drawn time -> how late it was here."""
        self._source, self._seen = source, seen
        self.info, self.health = source.info, source.health

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The frames of the other source."""
        for frame in self._source.frames(colour):
            drawn = read_clock(frame.pixels)
            self._seen[drawn] = _now() - drawn
            yield frame

    def close(self) -> None:
        """Closes the other source."""
        self._source.close()


class ClockSink(Sink):
    """Reads the clock."""

    name = "clock"

    def __init__(self) -> None:
        """Starts without any seen frame."""
        self.seen: dict[int, int] = {}

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Notes how late the frame is."""
        drawn = read_clock(frame.pixels)
        self.seen[drawn] = _now() - drawn


def _serve(commands: Connection, rate: float) -> None:
    with RtspCamera(ClockFake(rate=rate, size=SIZE)) as camera:
        commands.send(camera.url())
        commands.recv()


def measure(engine: Engine, rate: float, seconds: float) -> tuple[dict[int, int], dict[int, int], float]:
    """Delays of the frames at source and sink in ms, by the drawn time; and the engine's p50 in ms."""
    ours, theirs = multiprocessing.Pipe()
    camera = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, rate), daemon=True)
    camera.start()
    at_source: dict[int, int] = {}
    sink = ClockSink()
    try:
        with open_source(ours.recv(), lambda message: None, LiveOptions()) as source:
            pipeline = Pipeline(TimedSource(source, at_source), engine, sink)
            threading.Timer(seconds, pipeline.stop).start()
            summary = pipeline.run()
    finally:
        ours.send("stop")
        camera.join(10)
    return at_source, sink.seen, summary.engine_ms.p50


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine-ms", type=float, default=40.0)
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second of the camera")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--model", type=Path, help="a real engine instead of one that sleeps")
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    wanted = parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)
    engine = open_engine(wanted.model) if wanted.model else FakeEngine(seconds=wanted.engine_ms / 1000)
    with engine:
        at_source, at_sink, engine_ms = measure(engine, wanted.rate, wanted.seconds)
    # The first second has what the camera and FFmpeg held back while the stream was opened.
    begin = min(at_sink, default=0) + 1000
    drawn = sorted(time for time in at_sink if time >= begin)
    if not drawn:
        raise SystemExit("error: no frames came after the first second; give more --seconds")
    rows = {
        "to the source": [at_source[time] for time in drawn],
        "to the sink": [at_sink[time] for time in drawn],
        "added": [at_sink[time] - at_source[time] for time in drawn],
    }
    print(this_machine())
    print(f"\n{len(drawn)} frames; engine {engine_ms:.1f} ms, camera {wanted.rate:g} frames a second\n")
    print("| ms | p50 | p90 | p99 | p99 / p50 |\n|---|---:|---:|---:|---:|")
    for name, values in rows.items():
        p50, p90, p99 = np.percentile(values, [50, 90, 99])
        print(f"| {name} | {p50:.0f} | {p90:.0f} | {p99:.0f} | {p99 / max(p50, 1):.2f} |")
    p50, p99 = np.percentile(rows["added"], [50, 99])
    print(f"\nAdded p99 is {p99 / engine_ms:.2f} frames of the engine (aim: {_AIM_FRAMES:g})")
    print(f"and {p99 / p50:.2f} times p50 (aim: {_AIM_RATIO:g}).")


if __name__ == "__main__":
    main()
