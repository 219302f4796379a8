"""The benchmark as a table for people."""

from rich.table import Table
from rich.text import Text

from granet.app.results import ResultConsole
from runtime.checks.bench import BenchReport, BenchResult

_WIDTH = 120
"""Width in columns if stdout is not a terminal, so that no table is truncated in a file."""

_AS_THEY_ARE = "as they are"


def print_bench(report: BenchReport) -> None:
    """Prints the report on stdout: a row per engine, then their descriptions and the machine."""
    out = ResultConsole(_WIDTH)
    height, width = report.size
    title = f"{width}x{height}, {report.frames} frames each, in turns, after {report.warm_up} warm-up frames"
    table = Table(
        "engine", "ms p50 / p90 / p99", "core-ms", "least", "fps", "time", "CPU", "peak", title=title
    )
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    for number, result in enumerate(report.results, 1):
        table.add_row(*_row(number, result))
    out.print(table)
    for number, result in enumerate(report.results, 1):
        fitting = "" if result.fitting == _AS_THEY_ARE else f"; frames {result.fitting}"
        out.print(Text(f"{number}  {result.description}{fitting}"))
    out.print(Text(f"on {report.machine}"))
    out.print(
        Text(
            "time, CPU: relative to engine 1. core-ms, least: mean and least processor time per frame, over "
            "all threads."
        )
    )
    out.print(Text(_memory_note(report)))


def _row(number: int, result: BenchResult) -> list[str]:
    ms = result.ms
    return [
        f"{number}  {result.backend} {result.model}",
        f"{ms.p50:.1f} / {ms.p90:.1f} / {ms.p99:.1f}",
        f"{result.cpu_ms:.1f}",
        f"{result.least_cpu_ms:.1f}",
        f"{result.fps:.1f}",
        f"{result.wall_ratio:.2f}x",
        f"{result.cpu_ratio:.2f}x",
        mebibytes(result.peak_bytes),
    ]


def _memory_note(report: BenchReport) -> str:
    return (
        "peak: host memory of a process with that engine alone; Python, numpy and OpenCV take "
        f"{mebibytes(report.results[0].baseline_bytes)} of it."
    )


def mebibytes(size: int | None, otherwise: str = "unknown") -> str:
    """Bytes for people; ``otherwise`` if the system does not say."""
    return otherwise if size is None else f"{size / 2**20:.0f} MiB"
