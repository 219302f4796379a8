"""PyTorch and TensorRT on one GPU: ``python benchmarks/gpu.py [--size 1280x720] [--gpu agx-orin]``.

Builds engines of a checkpoint in each precision, and prints, as lines of markdown, the time of a frame and
the frames a second of

- PyTorch, eager, in float32 (without TF32), as ``granet-run --model best.pt --device cuda`` runs it,
- ``torch.compile`` in float16, channels-last, with CUDA graphs (``reduce-overhead``),
- the TensorRT engines.

All take uint8 frames in host memory and give such frames back, so that copies count for all. They take turns
frame by frame, one frame at a time, and the median time counts; frames a second are those of an engine fed by
as many threads as it takes (an engine of TensorRT overlaps its copies with computing, PyTorch's do not). With
``--gpu`` the share of the roofline's floor is printed too. What was to be reached stands below the table.

Without a GPU it says so and ends. ``--device cpu`` times PyTorch alone: it is there to try the script.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from export.cli import app
from export.gpus import find_gpu
from export.roofline import roofline
from export.size_option import parse_size
from granet import load_checkpoint
from granet.console import run_app
from granet.errors import UserError
from runtime.engine import Engine
from runtime.frame import Pixels
from runtime.machine import this_machine
from runtime.onnx_file import read_metadata
from runtime.open import open_engine
from runtime.parity_cases import Size, synthetic_rain

CHECKPOINT = Path(__file__).parents[1] / "runtime" / "models" / "lite.safetensors"

TARGETS = [
    ("fp16", "eager fp32", 4.0),
    ("fp16", "compiled fp16", 1.3),
    ("int8", "fp16", 1.4),
    ("fp8", "fp16", 1.4),
]
"""(engine, what it is held against, times as fast)."""


class CompiledEngine(Engine):
    """A checkpoint in PyTorch, compiled, in float16."""

    def __init__(self, checkpoint: Path, like: Engine) -> None:
        """On the device of ``like``, which is the same checkpoint run eagerly."""
        self._device = torch.device(like.info.device)
        network = load_checkpoint(checkpoint).half().to(self._device, memory_format=torch.channels_last)
        self._network = torch.compile(network, mode="reduce-overhead")
        description = f"torch {torch.__version__} compiled on {self._device}: fp16"
        self.info = replace(like.info, precision="fp16", description=description)

    @torch.inference_mode()
    def _infer(self, batch: Pixels) -> Pixels:
        rainy = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2).flip(1)
        rainy = rainy.contiguous(memory_format=torch.channels_last).half() / 255
        levels = (self._network(rainy).float() * 255).round().clamp(0, 255).to(torch.uint8)
        pixels: Pixels = levels.flip(1).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return pixels


@dataclass
class Timed:
    """An engine and its times."""

    name: str
    engine: Engine
    seconds: list[float] = field(default_factory=list)
    fps: float = 0.0

    @property
    def ms(self) -> float:
        """Of a frame, one at a time; the median."""
        return 1e3 * statistics.median(self.seconds)


def main() -> None:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="PyTorch and TensorRT on one GPU.")
    parser.add_argument("--ckpt", type=Path, default=CHECKPOINT, help="checkpoint")
    parser.add_argument("--size", default="1280x720", help="frames, WxH")
    parser.add_argument("--frames", type=int, default=200, help="timed, of each")
    parser.add_argument("--precision", nargs="*", default=["fp32", "fp16", "int8"], help="of the engines")
    parser.add_argument("--gpu", help="name for the roofline, as in granet-export roofline")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try the script")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args()
    try:
        _run(options)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error


def _run(options: argparse.Namespace) -> None:
    size = parse_size(options.size)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        eager = stack.enter_context(open_engine(options.ckpt, options.device))
        timed = [Timed("eager fp32", eager)]
        if not options.no_compile:
            timed.append(Timed("compiled fp16", CompiledEngine(options.ckpt, eager)))
        if options.device != "cpu":
            for precision in options.precision:
                path = _build(options.ckpt, precision, options.size, Path(directory))
                timed.append(Timed(precision, stack.enter_context(open_engine(path, options.device))))
        _measure(timed, size, options.frames)
        floors = _floors(timed, options.gpu, size, Path(directory))
    _print(timed, options.size, floors)


def _build(checkpoint: Path, precision: str, size: str, directory: Path) -> Path:
    """An engine, built as a user builds it."""
    path = directory / f"{precision}.engine"
    arguments = ["trt", "--ckpt", str(checkpoint), f"--{precision}", "--size", size, "-o", str(path)]
    if run_app(app, arguments) != 0:
        raise SystemExit(f"no engine in {precision}: the line above says why")
    return path


def _measure(timed: Sequence[Timed], size: Size, frames: int) -> None:
    pictures = [case.frames for case in synthetic_rain(size, count=4)]
    for one in timed:  # compiling and capturing are not timed
        for picture in pictures:
            one.engine.run(picture)
    for index, picture in zip(range(frames), itertools.cycle(pictures), strict=False):
        turn = index % len(timed)
        for one in [*timed[turn:], *timed[:turn]]:
            start = time.perf_counter()
            one.engine.run(picture)
            one.seconds.append(time.perf_counter() - start)
    for one in timed:
        with ThreadPoolExecutor(one.engine.concurrency) as pool:
            start = time.perf_counter()
            for _ in pool.map(one.engine.run, (pictures[index % 4] for index in range(frames))):
                pass
            one.fps = frames / (time.perf_counter() - start)


def _floors(timed: Sequence[Timed], gpu: str | None, size: Size, directory: Path) -> dict[str, float]:
    """Milliseconds of the roofline's floor, for each engine whose ONNX model is there."""
    if gpu is None:
        return {}
    found = {}
    for one in timed:
        for path in directory.glob(f"*{one.name}*.onnx"):
            found[one.name] = 1e3 * roofline(path, read_metadata(path), size).floor(find_gpu(gpu))
    return found


def _print(timed: Sequence[Timed], size: str, floors: dict[str, float]) -> None:
    times = {one.name: one.ms for one in timed}
    print(f"\n| {size} | ms a frame | frames a second | to eager | share of the floor |")
    print("|---|---|---|---|---|")
    for one in timed:
        share = f"{floors[one.name] / one.ms:.0%}" if one.name in floors else ""
        ratio = times["eager fp32"] / one.ms
        print(f"| {one.name} | {one.ms:.3f} | {one.fps:.1f} | {ratio:.2f}x | {share} |")
    print()
    for name, other, target in TARGETS:
        if name in times and other in times:
            reached = times[other] / times[name]
            verdict = "reached" if reached >= target else "missed"
            print(f"- {name} engine to {other}: {reached:.2f}x, {target:g}x sought: {verdict}")
    for one in timed:
        print(f"- {one.name}: {one.engine.info.description}")
    print(f"- on {this_machine('torch')}")


if __name__ == "__main__":
    main()
