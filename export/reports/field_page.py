"""The field report as one self-contained web page: no script, no other file, light and dark."""

from html import escape
from importlib.resources import files
from string import Template

from export.reports.field_report import FieldModel, FieldReport
from export.reports.field_table import SPEED, facts, parity_text, size_text, speed_rows
from granet.app.schema import to_json

_TEXT_COLUMNS = 2
"""Columns on the left of the table that are not numbers."""


def field_page(report: FieldReport) -> str:
    """The page as HTML, in UTF-8."""
    page = files("export.reports").joinpath("field_page.html").read_text(encoding="utf-8")
    device = report.system.get("board") or ", ".join(gpu.name for gpu in report.gpus) or report.machine.cpu
    bench = report.sizes[0].bench
    return Template(page).substitute(
        headline=escape(f"{device}, granet-deploy {report.version}"),
        method=f"{bench.frames} frames of drawn rain after {bench.warm_up} to warm up. File to file: decode "
        "H.264, remove the rain, encode H.264. Memory is the peak of a process with that engine alone.",
        bars=_bars(report),
        headings="".join(_cell("th", text, index) for index, text in enumerate(SPEED)),
        rows="\n".join(_row(row) for row in speed_rows(report)),
        facts="".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts(report).items()
        ),
        models="\n".join(_model(model) for model in report.models),
        json=escape(to_json(report.to_json(), indent=2)),
    )


def _bars(report: FieldReport) -> str:
    """Two bars for each size and model: the engine alone, and from file to file."""
    pairs = [
        (size_text(size.bench.size), result.model, result.fps, run.fps)
        for size in report.sizes
        for result, run in zip(size.bench.results, size.end_to_end, strict=True)
    ]
    longest = max(max(alone, whole) for _, _, alone, whole in pairs) or 1
    key = '<div class="key"><i>engine alone</i><i class="whole">file to file</i></div>'
    return key + "".join(
        f'<div class="bar"><span class="name">{size}<small>{escape(model)}</small></span>'
        f'<i style="--share: {alone / longest:.4f}">{alone:.1f} fps</i>'
        f'<i class="whole" style="--share: {whole / longest:.4f}">{whole:.1f} fps</i></div>'
        for size, model, alone, whole in pairs
    )


def _row(texts: tuple[str, ...]) -> str:
    return "<tr>" + "".join(_cell("td", text, index) for index, text in enumerate(texts)) + "</tr>"


def _cell(tag: str, text: str, index: int) -> str:
    kind = "" if index < _TEXT_COLUMNS else ' class="n"'
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _model(model: FieldModel) -> str:
    outcome = "" if model.parity is None else "held" if model.parity["passed"] else "missed"
    return (
        f"<tr><td>{escape(model.file)}</td><td>{escape(model.engine)}</td>"
        f'<td class="{outcome}">{escape(parity_text(model))}</td>'
        f"<td><code>{model.sha256}<br>{model.checkpoint_sha256}</code></td></tr>"
    )
