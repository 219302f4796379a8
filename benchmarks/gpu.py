"""PyTorch and TensorRT on one GPU: ``python -m benchmarks.gpu [--size 1280x720] [--gpu agx-orin]``.

Builds engines of a checkpoint in each precision, and prints, as lines of markdown, the time of a frame and
the frames a second of

- PyTorch, eager, in float32 (without TF32), as ``granet-run --model best.pt --device cuda`` runs it,
- ``torch.compile`` in float16, channels-last, with CUDA graphs (``reduce-overhead``),
- the TensorRT engines.

All take uint8 frames in host memory and return such frames, so that copies count for all. They take turns
frame by frame, and the median time counts. The rate is that of an engine fed by its number of threads (an
engine of TensorRT overlaps copies and compute, PyTorch's do not). The PSNR to eager PyTorch on four drawn
pictures exposes an engine that is fast because it is wrong; ``make test-gpu`` measures parity. With ``--gpu``
the share of the roofline's floor is printed too. The targets are below.

Models are exported for any size, and quantised on small drawn pictures, because that is done on the CPU; the
engines are for ``--size`` alone. With ``--keep DIR`` all of them stay there, and a second run goes on where
the first one ended. ``python -m benchmarks.end_to_end
DIR/fp16.1280x720.engine --device cuda`` measures how much of an engine's rate is left from a file.

Without a GPU it says so and ends. ``--device cpu`` times PyTorch alone: it is there to try the script.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from export.cli import app
from export.reports.gpus import find_gpu
from export.reports.roofline import roofline
from granet import load_checkpoint
from granet.app.console import run_app
from granet.app.options import parse_size
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.onnx_file import read_metadata
from runtime.checks.machine import this_machine
from runtime.checks.parity_cases import synthetic_rain
from runtime.engines.base import Engine, GraphEngine
from runtime.media.frame import Pixels
from runtime.open import open_engine

CHECKPOINT = Path(__file__).parents[1] / "runtime" / "models" / "lite.safetensors"

TARGETS = [
    ("fp16", "eager fp32", 4.0),
    ("fp16", "compiled fp16", 1.3),
    ("int8", "fp16", 1.4),
    ("fp8", "fp16", 1.4),
]
"""(engine, what it is held against, times as fast)."""

SMALLEST = ["--size", "128x96", "--frames", "2", "--precision", "fp16", "--no-compile"]
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""

PRECISIONS = ("fp32", "fp16", "int8", "fp8")
QUANTISED = ("int8", "fp8")
SMALL = "480x320"
"""Pictures that ranges are taken from: they are the same for larger ones."""


class CompiledEngine(GraphEngine):
    """A checkpoint in PyTorch, compiled, in float16."""

    def __init__(self, checkpoint: Path, like: Engine) -> None:
        """On the device of ``like``, which is the same checkpoint run eagerly."""
        self._device = torch.device(like.info.device)
        network = load_checkpoint(checkpoint).half().to(self._device, memory_format=torch.channels_last)
        self._network = torch.compile(network, mode="reduce-overhead")
        description = f"torch {torch.__version__} compiled on {self._device}: fp16"
        self.info = replace(like.info, precision="fp16", description=description)

    @torch.inference_mode()
    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        rainy = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2).flip(1)
        rainy = rainy.contiguous(memory_format=torch.channels_last).half() / 255
        levels = (self._network(rainy).float() * 255).round().clamp(0, 255).to(torch.uint8)
        pixels: Pixels = levels.flip(1).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return (pixels,)


@dataclass
class Timed:
    """An engine and its times."""

    name: str
    engine: Engine
    seconds: list[float] = field(default_factory=list)
    fps: float = 0.0
    psnr_db: float = 0.0

    @property
    def ms(self) -> float:
        """Median time of a single frame."""
        return 1e3 * statistics.median(self.seconds)


def main() -> None:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="PyTorch and TensorRT on one GPU.")
    parser.add_argument("--ckpt", type=Path, default=CHECKPOINT, help="checkpoint")
    parser.add_argument("--size", default="1280x720", help="frames, WxH")
    parser.add_argument("--frames", type=int, default=200, help="timed, of each")
    parser.add_argument(
        "--precision", nargs="*", default=["fp32", "fp16", "int8"], choices=PRECISIONS, help="of the engines"
    )
    parser.add_argument("--gpu", help="name for the roofline, as in granet-export roofline")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try the script")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep models and engines, and use those there"
    )
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    options = parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("error: no GPU that PyTorch can use; --device cpu tries the script without one")
    try:
        _run(options)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error


def _run(options: argparse.Namespace) -> None:
    size = parse_size(options.size)
    peaks = None if options.gpu is None else find_gpu(options.gpu)
    with ExitStack() as stack:
        directory = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.mkdir(parents=True, exist_ok=True)
        eager = stack.enter_context(open_engine(options.ckpt, options.device))
        timed, models = [Timed("eager fp32", eager)], {}
        for precision in options.precision if options.device != "cpu" else ():
            models[precision], path = _build(options.ckpt, precision, options.size, directory)
            timed.append(Timed(precision, stack.enter_context(open_engine(path, options.device))))
        if not options.no_compile:
            timed.insert(1, Timed("compiled fp16", CompiledEngine(options.ckpt, eager)))
        _measure(timed, size, options.frames)
        floors = {}
        for precision, model in models.items():
            if peaks is not None:
                floors[precision] = 1e3 * roofline(model, read_metadata(model), size).floor(peaks)
    _print(timed, options.size, floors)


def _build(checkpoint: Path, precision: str, size: str, directory: Path) -> tuple[Path, Path]:
    """The ONNX model and the engine of a precision, each made unless it is there."""
    source = directory / ("fp16.onnx" if precision == "fp16" else "fp32.onnx")
    option = ["--fp16"] if precision == "fp16" else []
    _make(source, ["onnx", "--ckpt", str(checkpoint), "--dynamic", *option, "-o", str(source)])
    if read_metadata(source).checkpoint_sha256 != sha256_of(checkpoint):
        raise UserError(f"{directory}: was made from another checkpoint: name another directory with --keep")
    model = source
    if precision in QUANTISED:
        model = directory / f"fp32.{precision}.onnx"
        small = directory / f"small.{precision}.engine"
        _make(model, ["trt", str(source), f"--{precision}", "--size", SMALL, "-o", str(small), "--overwrite"])
    engine = directory / f"{precision}.{size}.engine"
    _make(engine, ["trt", str(model), "--size", size, "-o", str(engine)])
    return model, engine


def _make(path: Path, arguments: list[str]) -> None:
    """Runs a command of ``granet-export`` unless what it makes is there."""
    if not path.exists() and run_app(app, arguments) != 0:
        raise SystemExit(f"there is no {path.name}: the line above says why")


def _measure(timed: Sequence[Timed], size: Size, frames: int) -> None:
    pictures = [case.frames for case in synthetic_rain(size, count=4)]
    truth = [timed[0].engine.run(picture) for picture in pictures]
    for one in timed:  # compiling and capturing are not timed
        results = [one.engine.run(picture) for picture in pictures]
        one.psnr_db = min(_psnr(*pair) for pair in zip(truth, results, strict=True))
        for picture in pictures:
            one.engine.run(picture)
    for index, picture in zip(range(frames), itertools.cycle(pictures), strict=False):
        turn = index % len(timed)
        for one in [*timed[turn:], *timed[:turn]]:
            start = time.perf_counter()
            one.engine.run(picture)
            one.seconds.append(time.perf_counter() - start)
    for one in timed:
        queue = (pictures[index % 4] for index in range(frames))
        start = time.perf_counter()
        if one.engine.concurrency == 1:  # in this thread: what torch.compile captured is of its thread alone
            for picture in queue:
                one.engine.run(picture)
        else:
            with ThreadPoolExecutor(one.engine.concurrency) as pool:
                for _ in pool.map(one.engine.run, queue):
                    pass
        one.fps = frames / (time.perf_counter() - start)


def _psnr(truth: Pixels, result: Pixels) -> float:
    """PSNR of uint8 frames in dB; 100 for equal frames."""
    mse = float(np.mean((truth.astype(np.float32) - result.astype(np.float32)) ** 2))
    return min(100.0, 10 * float(np.log10(255**2 / mse))) if mse else 100.0


def _print(timed: Sequence[Timed], size: str, floors: dict[str, float]) -> None:
    times = {one.name: one.ms for one in timed}
    print(f"\n| {size} | ms a frame | frames a second | to eager | PSNR to eager, dB | share of the floor |")
    print("|---|---|---|---|---|---|")
    for one in timed:
        share = f"{floors[one.name] / one.ms:.0%}" if one.name in floors else ""
        ratio = times["eager fp32"] / one.ms
        print(f"| {one.name} | {one.ms:.3f} | {one.fps:.1f} | {ratio:.2f}x | {one.psnr_db:.1f} | {share} |")
    print()
    for name, other, target in TARGETS:
        if name in times and other in times:
            reached = times[other] / times[name]
            verdict = "reached" if reached >= target else "missed"
            print(f"- {name} engine to {other}: {reached:.2f}x, {target:g}x sought: {verdict}")
    for one in timed:
        print(f"- {one.name}: {one.engine.info.description}")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"- on {gpu}, {this_machine('torch')}")


if __name__ == "__main__":
    main()
