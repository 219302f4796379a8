"""``granet-export roofline``: counts a model's arithmetic and bytes, and the least time it can take."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from export.commands.options import model_argument
from export.reports.gpus import GPUS, GpuPeaks, find_gpu, own_gpu
from granet.app.command import Json, Options
from granet.app.console import UsageError
from granet.app.extras import require
from granet.app.options import parse_size
from granet.app.results import ResultConsole, print_line
from granet.app.schema import DamagedError, Finite, PositiveInt, decode_json, read_bytes, to_json
from granet.app.value import checked
from granet.errors import UserError
from runtime.open import ENGINES

if TYPE_CHECKING:
    from export.reports.roofline import Roofline


class _Milliseconds(Struct):
    p50: Finite


class _Timed(Struct):
    backend: str
    model: str
    ms: _Milliseconds


class _Bench(Struct):
    """Used fields of a :class:`runtime.checks.bench.BenchReport`; (height, width) in pixels."""

    size: tuple[PositiveInt, PositiveInt]
    results: list[_Timed]


@dataclass(frozen=True, kw_only=True)
class RooflineOptions(Options):
    """Options of ``granet-export roofline``."""

    model: Annotated[
        Path,
        model_argument("ONNX model, an engine with its ONNX model beside it"),
    ]
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Compute for frames of WxH. Repeat for more (default: the model's own, or --bench's).",
        ),
    ] = None
    batch: Annotated[int, typer.Option(min=1, help="Compute for N frames at a time.")] = 1
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            "--gpu",
            metavar="NAME",
            callback=checked(find_gpu),
            help="Compute for a GPU of the table. Repeat for more (default: all of them).",
        ),
    ] = None
    gflops: Annotated[
        float | None,
        typer.Option(min=0.001, help="Peak of your own device, GFLOP/s (default: those of the table)."),
    ] = None
    bandwidth: Annotated[
        float | None,
        typer.Option(min=0.001, help="Memory bandwidth of your own device, GB/s (default: as above)."),
    ] = None
    ms: Annotated[
        float | None,
        typer.Option(min=0.0001, help="Print the share that this measured time reaches (default: none)."),
    ] = None
    bench: Annotated[
        Path | None,
        typer.Option(
            help="Print the shares of engines that granet-export bench --json timed (default: none)."
        ),
    ] = None
    as_json: Json = False

    def check(self) -> None:
        """Refuses options that the run would not use.

        Raises:
            UsageError: names the two options.
        """
        self.at_most_one("--ms", "--bench", why="both are measured times")
        for own in ("--gflops", "--bandwidth"):
            self.at_most_one("--gpu", own, why="one names a device and the other describes one")
        if (self.gflops is None) != (self.bandwidth is None):
            raise UsageError("a device has both: give --gflops and --bandwidth")
        benchmark = "with --bench" if self.bench is not None else None
        self.refuse(
            "--size", conflict=benchmark, why="a benchmark has a size of its own; leave the option out"
        )
        self.refuse(
            "--batch", conflict=benchmark, why="a benchmark runs one frame at a time; leave the option out"
        )

    def peaks(self) -> list[GpuPeaks]:
        """The devices."""
        if self.gflops is not None and self.bandwidth is not None:
            return [own_gpu(self.gflops, self.bandwidth)]
        return [find_gpu(name) for name in self.gpu or []] or list(GPUS.values())


def roofline(options: RooflineOptions) -> None:
    """Print how fast a model can be at most.

    With a measured time, print what share of that an engine reaches as well.

    The floor comes from the roofline model: each convolution and matrix product takes as long as its
    arithmetic or its memory traffic, and all else is free. A share of 100% is the fastest possible.
    """
    options.check()
    require("counting the arithmetic of a model", "onnx")
    from export.reports.roofline import roofline as count
    from export.reports.roofline import shares
    from runtime.artefacts.onnx_file import read_metadata

    peaks = options.peaks()
    times, timed_size = _times(options.ms, options.bench)
    sizes: Sequence[tuple[int, int] | None] = [parse_size(text) for text in options.size or []]
    if times and len(peaks) != 1:
        raise UsageError("a measured time needs the one device that it was measured on: --gpu NAME")
    if times and len(sizes) > 1:
        raise UsageError("a measured time is of one size: give one --size")
    path = _onnx_of(options.model)
    metadata = read_metadata(path)
    options.refuse(
        "--batch",
        conflict=None if metadata.batch in (None, options.batch) else f"with {path}",
        why=f"the model takes {metadata.batch} at a time; leave the option out",
    )
    lines = [count(path, metadata, each, options.batch) for each in sizes or [timed_size]]
    reached = shares(lines[0], peaks[0], times) if times else {}
    if options.as_json:
        report = {"model": path.name, "sizes": [_values(line, peaks) for line in lines], "shares": reached}
        sys.stdout.write(to_json(report, indent=2) + "\n")
    else:
        _print(path, metadata.precision, lines, peaks, times, reached)
        for each in peaks if options.gpu else ():
            print_line(f"{each.name}: figures of {each.source}")


def _onnx_of(model: Path) -> Path:
    """The ONNX model itself, or the one that an engine was built from."""
    if model.suffix.lower() not in ENGINES:
        return model
    from runtime.tensorrt.record import read_record
    from runtime.tensorrt.trust import onnx_beside

    return onnx_beside(model, read_record(model))


def _times(ms: float | None, bench: Path | None) -> tuple[dict[str, float], tuple[int, int] | None]:
    """Milliseconds by engine, and the (height, width) that a benchmark was run at."""
    if ms is not None:
        return {"measured": ms}, None
    if bench is None:
        return {}, None
    try:
        report = decode_json(read_bytes(bench), _Bench)
    except DamagedError as error:
        raise UserError(f"{bench}: not what granet-export bench --json prints ({error})") from error
    return {f"{each.backend} {each.model}": each.ms.p50 for each in report.results}, report.size


def _values(line: "Roofline", peaks: "Sequence[GpuPeaks]") -> dict[str, Any]:
    return {
        "size": list(line.size),
        "batch": line.batch,
        "flop": line.flop,
        "bytes": round(line.bytes),
        "weight_bytes": round(line.weight_bytes),
        "flop_by_precision": line.by_precision(),
        "floors": [
            {
                "device": each.name,
                "source": each.source,
                "ms": round(1e3 * line.floor(each), 5),
                "share_bound_by_compute": round(line.compute_share(each), 4),
            }
            for each in peaks
        ],
    }


def _print(
    path: Path,
    precision: str,
    lines: "Sequence[Roofline]",
    peaks: "Sequence[GpuPeaks]",
    times: Mapping[str, float],
    reached: Mapping[str, float],
) -> None:
    from rich.table import Table

    out = ResultConsole(100)
    table = Table("size", "GFLOP", "MB moved", "device", "floor ms", "fps", "by arithmetic")
    for column in (1, 2, 4, 5, 6):
        table.columns[column].justify = "right"
    for line in lines:
        for index, each in enumerate(peaks):
            facts = (
                [_size(line), f"{line.flop / 1e9:.2f}", f"{line.bytes / 1e6:.1f}"] if not index else [""] * 3
            )
            floor = line.floor(each)
            rate = f"{line.batch / floor:.0f}"
            table.add_row(*facts, each.name, f"{1e3 * floor:.3f}", rate, f"{line.compute_share(each):.0%}")
    out.print(table)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in lines[0].by_precision().items())
    print_line(f"{path.name}, {precision}; arithmetic in {shares}")
    for name, share in reached.items():
        print_line(f"{name}: {times[name]:.3f} ms, {share:.1%} of the floor's speed")


def _size(line: "Roofline") -> str:
    height, width = line.size
    return f"{width}x{height}" if line.batch == 1 else f"{line.batch} of {width}x{height}"
