"""The cost of everything around the engine: ``python -m benchmarks.end_to_end [MODEL]``.

Two measurements, each printed as lines of markdown.

**Around the engine, core-milliseconds for a 1080p frame.** Processor time of the whole process, over
all threads, for a run of the pipeline from an H.264 file to a video sink, minus the time of decoding
the same file alone, per frame. The rest is everything between the decoder and the engine and
between the engine and the encoder: demuxing in Python, conversion to BGR, padding to the network's
size rule, cropping, the queues and their threads, conversion to YUV, and drawing the comparison.

- The engine's graph returns its input and has the model's size rule, as a graph exported at 1080p
  has. The work of a backend inside a call, including the copy of its output, counts as the engine;
  padding, cropping and batching do not. The rule of the presets takes 1080p unchanged; a third figure
  uses a rule that does not, so that it includes padding and cropping.
- There is no encoder. Encoding costs ten times the wanted figure, and a difference would be noise. The
  sink paints the frames for the encoder, as a real one does, and drops them. (x264 gets no copy.)
- The clip is a still picture, because that decodes fast, and the figure does not depend on the
  content. Both runs open the file; the costs of starting threads and of making the sink are spread
  over the frames.

**The rate of a file to no output, over that of the engine alone on the same frames.** The same engine
object and so the same threads; the frames for the engine alone are decoded beforehand. Decoding,
conversion and the queues run while the engine computes, on the same cores.

Runs take turns and the medians of the rounds are given, because what else the machine does changes
by the minute. On a busy machine the processor times are too high, and the second measurement, which
is of wall time, strays by several percent; its processor times stray less.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from granet.size_rule import SizeRule
from runtime.checks.end_to_end import make_clip
from runtime.checks.machine import this_machine
from runtime.engines.base import Engine, EngineInfo, GraphEngine
from runtime.engines.fitting import FrameFit
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Colour, Frame, Pixels
from runtime.open import open_engine
from runtime.sinks.base import Sink
from runtime.sinks.open import NullSink
from runtime.sinks.video.painter import Painter
from runtime.sources.base import StreamInfo
from runtime.sources.video.source import VideoSource

MODEL = Path(__file__).parents[1] / "runtime" / "models" / "lite.onnx"
FULL_HD = (1080, 1920)
PADDING_RULE = SizeRule(multiple=64, extent=None)
"""Pads 1080 rows to 1088."""

TARGET_MS, TARGET_RATE = 5.0, 0.95

SMALLEST = ["--frames", "4", "--engine-frames", "2", "--rounds", "1"]
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""


class EchoEngine(GraphEngine):
    """All that is the same in every engine: its graph takes no time."""

    def __init__(self, rule: SizeRule, colour: Colour) -> None:
        """Takes frames of any size, padded as ``rule`` says."""
        self.info = EngineInfo("echo", "cpu", "none", "fp32", colour, FrameFit(rule), "no network")

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        return (batch,)


class PaintingSink(Sink):
    """Paints what an encoder would get, and drops it."""

    name = "no encoder"

    def __init__(self, info: StreamInfo) -> None:
        """For frames of a source of that ``info``."""
        self._info = info
        self._painter: Painter | None = None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Paints the frame, or the comparison."""
        if self._painter is None:
            size = (frame.pixels.shape[0], frame.pixels.shape[1])
            compare = before is not None
            self._painter = Painter(size, self._info.chroma, self._info, self._colour, compare=compare)
        self._painter.paint(frame, before)


@dataclass(frozen=True)
class Cost:
    """Seconds of a run over all its frames: wall time and, over all threads, processor time."""

    wall: float
    cpu: float


def main() -> None:
    """Prints both measurements."""
    options = _options()
    print(f"Measured on {this_machine('av', 'opencv-python', 'onnxruntime', 'openvino')}.\n", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_engine(options.model, options.device, options.backend) as engine,
    ):
        around_the_engine(engine, Path(folder), options.frames, options.rounds)
        fit = engine.info.fit
        size = (fit.height or 320, fit.width or 480)
        rate_of_a_file(engine, Path(folder), size, options.engine_frames, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default=MODEL)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=200, help="of the 1080p clip")
    parser.add_argument("--engine-frames", type=int, default=40, help="of the clip for the engine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    return parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)


def around_the_engine(engine: Engine, folder: Path, frames: int, rounds: int) -> None:
    """Prints the processor time around the engine: plain, with a comparison, and with padding."""
    clip = make_clip(folder / "full-hd.mp4", FULL_HD, frames, drawn=1)
    echo = EchoEngine(engine.info.fit.rule, engine.info.colour)
    padding = EchoEngine(PADDING_RULE, engine.info.colour)
    runs: dict[str, Callable[[], object]] = {
        "decoding alone": lambda: decode(clip),
        "without `--compare`": lambda: through(clip, echo),
        "with `--compare`": lambda: through(clip, echo, compare=True),
        "with `--compare` and padding": lambda: through(clip, padding, compare=True),
    }
    costs = [{name: 1e3 * cost_of(run).cpu / frames for name, run in runs.items()} for _ in range(rounds)]
    decoding, *rest = runs
    for name in rest:
        found = [cost[name] - cost[decoding] for cost in costs]
        middle = statistics.median(found)
        print(
            f"- {middle:.1f} core-ms ({min(found):.1f} to {max(found):.1f}) for a 1080p frame {name} "
            f"between decoder, engine and encoder; at most {TARGET_MS:g} are asked: "
            f"{_verdict(middle <= TARGET_MS)}",
            flush=True,
        )
    alone = statistics.median(cost[decoding] for cost in costs)
    print(f"- not counted in these: {alone:.1f} core-ms for decoding the frame")
    print(f"- for scale: one plain copy of the frame, {_copy_ms():.1f} core-ms")


def rate_of_a_file(engine: Engine, folder: Path, size: tuple[int, int], frames: int, rounds: int) -> None:
    """Prints the frame rate from a file to no output over that of the engine alone."""
    clip = make_clip(folder / "engine.mp4", size, frames)
    with VideoSource(str(clip), print) as source:
        pixels = [frame.pixels for frame in source.frames(engine.info.colour)]
    engine.run(pixels[0][None])
    runs: list[Callable[[], object]] = [
        lambda: alone_with(engine, pixels),
        lambda: through(clip, engine, sink=NullSink()),
    ]
    costs: list[list[Cost]] = [[], []]
    for index in range(rounds):
        for which in (0, 1) if index % 2 == 0 else (1, 0):  # what drifts hits both alike
            costs[which].append(cost_of(runs[which]))
    alone, piped = costs
    share = statistics.median(a.wall / p.wall for a, p in zip(alone, piped, strict=True))
    cpu = statistics.median(p.cpu / a.cpu for a, p in zip(alone, piped, strict=True))
    rates = [statistics.median(frames / cost.wall for cost in kind) for kind in (piped, alone)]
    print(
        f"- {share:.1%} of the rate of the engine alone, from a file to no output, at {size[1]}x{size[0]} "
        f"({rates[0]:.2f} and {rates[1]:.2f} frames a second, {cpu:.3f} times the processor time; "
        f"{engine.info.description}); at least {TARGET_RATE:.0%} is asked: {_verdict(share >= TARGET_RATE)}"
    )


def alone_with(engine: Engine, pixels: Sequence[Pixels]) -> None:
    """All frames through the engine, from as many threads as it takes: so does the pipeline."""
    with ThreadPoolExecutor(engine.concurrency) as pool:
        for _ in pool.map(lambda frame: engine.run(frame[None]), pixels):
            pass


def _copy_ms(times: int = 50) -> float:
    """Core-milliseconds of copying a 1080p frame into memory that is there already."""
    source = np.ones((*FULL_HD, 3), np.uint8)
    target = np.ones_like(source)
    start = time.process_time()
    for _ in range(times):
        np.copyto(target, source)
    return 1e3 / times * (time.process_time() - start)


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def decode(clip: Path) -> None:
    """Decodes a clip as :class:`VideoSource` does, and does nothing with it."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def through(clip: Path, engine: Engine, *, compare: bool = False, sink: Sink | None = None) -> None:
    """Runs the pipeline on a clip; without ``sink``, up to where a video would be encoded."""
    with VideoSource(str(clip), print) as source:
        Pipeline(source, engine, sink or PaintingSink(source.info), compare=compare).run()


def cost_of(run: Callable[[], object]) -> Cost:
    """The wall and processor time of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main()
