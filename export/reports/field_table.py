"""The field report as a table for people, and the texts that it shares with the web page."""

from rich.table import Table
from rich.text import Text

from export.reports.bench import mebibytes
from export.reports.field_report import FieldModel, FieldReport
from granet.app.results import ResultConsole
from granet.size_rule import Size

_WIDTH = 120
_UNKNOWN = "-"


def print_field(report: FieldReport) -> None:
    """Prints the report on stdout."""
    out = ResultConsole(_WIDTH)
    table = Table(*SPEED)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in speed_rows(report):
        table.add_row(*row)
    out.print(table)
    for model in report.models:
        out.print(Text(f"{model.file}: {model.engine}; parity: {parity_text(model)}"))
    for name, value in facts(report).items():
        out.print(Text(f"{name}: {value}"))


SPEED = ("size", "model", "engine fps", "ms p50 / p90 / p99", "file to file fps", "memory", "GPU memory")
"""Headings of :func:`speed_rows`."""


def speed_rows(report: FieldReport) -> list[tuple[str, ...]]:
    """A row of texts for each size and model."""
    rows: list[tuple[str, ...]] = []
    for size in report.sizes:
        for result, run in zip(size.bench.results, size.end_to_end, strict=True):
            ms = result.ms
            rows.append(
                (
                    size_text(size.bench.size),
                    result.model,
                    f"{result.fps:.1f}",
                    f"{ms.p50:.1f} / {ms.p90:.1f} / {ms.p99:.1f}",
                    f"{run.fps:.1f}",
                    mebibytes(result.peak_bytes, _UNKNOWN),
                    mebibytes(result.gpu_bytes, _UNKNOWN),
                )
            )
    return rows


def facts(report: FieldReport) -> dict[str, str]:
    """The device by the name of each fact; the last one names what the system does not report."""
    machine = report.machine
    memory = f"{machine.memory_gib:.1f} GiB" if machine.memory_gib else ""
    graphics = [
        f"{gpu.name}, driver {gpu.driver}"
        + ("" if gpu.memory_mib is None else f", {gpu.memory_mib / 1024:.0f} GiB")
        for gpu in report.gpus
    ]
    rest, load = report.at_rest, report.under_load
    found = {
        **report.system,
        "processor": f"{machine.cpu}, {machine.cores} cores in use, {machine.system}",
        "memory": memory,
        "GPU": "; ".join(graphics),
        "power": _pairs(report.power),
        "clocks": _before_and_after(rest.clocks_mhz, load.clocks_mhz, "MHz"),
        "temperature": _before_and_after(rest.temperatures_c, load.temperatures_c, "°C"),
        "power draw": _before_and_after(rest.power_w, load.power_w, "W"),
        "versions": _pairs({"granet-deploy": report.version, **machine.versions}),
    }
    missing = [name for name, text in found.items() if not text]
    reported = {name: text for name, text in found.items() if text}
    return reported | ({"not reported": ", ".join(missing)} if missing else {})


def parity_text(model: FieldModel) -> str:
    """The outcome of the comparison in one line."""
    parity = model.parity
    if parity is None:
        return f"not measured: {model.no_parity}"
    verdict = "held" if parity["passed"] else f"missed: {'; '.join(parity['misses'])}"
    return (
        f"{verdict} on {len(parity['images'])} built-in cases; {parity['psnr_db']['mean']:.1f} dB on average "
        f"and {parity['psnr_db']['min']:.1f} dB at least over the pictures, against {parity['reference']}"
    )


def size_text(size: Size) -> str:
    """(height, width) as people write it."""
    return f"{size[1]}x{size[0]}"


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _before_and_after(rest: dict[str, float], load: dict[str, float], unit: str) -> str:
    names = [*load, *(name for name in rest if name not in load)]
    texts = []
    for name in names:
        first, last = (f"{values[name]:g}" if name in values else _UNKNOWN for values in (rest, load))
        texts.append(f"{name} {first}" if first == last else f"{name} {first} → {last}")
    return f"{', '.join(texts)} {unit}" if texts else ""
