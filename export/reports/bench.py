"""The benchmark as a table for people."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime.checks.bench import BenchReport, BenchResult

_WIDTH = 120
"""Columns where there is no terminal: a file has no width, and a table in it must not be cut."""

_AS_THEY_ARE = "as they are"


def print_bench(report: BenchReport) -> None:
    """Prints the report on stdout: a row for each engine, then what each one is, and the machine."""
    out = Console(highlight=False, soft_wrap=False, markup=False)
    if not out.is_terminal:
        out = Console(highlight=False, soft_wrap=False, markup=False, width=_WIDTH)
    height, width = report.size
    title = f"{width}x{height}, {report.frames} frames each in turns, after {report.warm_up} to warm up"
    table = Table("engine", "ms p50 / p90 / p99", "core-ms", "fps", "time", "CPU", "peak", title=title)
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
    out.print(Text("time, CPU: over engine 1. core-ms: processor time over all threads, mean of the frames."))
    out.print(Text(_memory_note(report)))


def _row(number: int, result: BenchResult) -> list[str]:
    ms = result.ms
    return [
        f"{number}  {result.backend} {result.model}",
        f"{ms.p50:.1f} / {ms.p90:.1f} / {ms.p99:.1f}",
        f"{result.cpu_ms:.1f}",
        f"{result.fps:.1f}",
        f"{result.wall_ratio:.2f}x",
        f"{result.cpu_ratio:.2f}x",
        _mebibytes(result.peak_bytes),
    ]


def _memory_note(report: BenchReport) -> str:
    return (
        "peak: host memory of a process with that engine alone, of which "
        f"{_mebibytes(report.results[0].baseline_bytes)} are Python, numpy and OpenCV."
    )


def _mebibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**20:.0f} MiB"
