"""The report of a job: one page with a row and before/after pictures for each recording."""

import base64
from collections.abc import Iterator
from html import escape

from runtime.archive.job_folder import FOLDER, FileRecord, JobFolder
from runtime.archive.plan import Plan, PlannedFile
from runtime.archive.status import Status, status_of

_MOST_PICTURES = 500
"""Recordings with pictures; more would make a page that no browser opens quickly."""

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1a2530}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem;vertical-align:top;"
    "border-bottom:1px solid #d8dee4}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "img{display:block;max-width:100%}.bad{color:#a40e26}.ok{color:#1a7f37}"
    "@media(prefers-color-scheme:dark){body{background:#111820;color:#dde5ec}td,th{border-color:#30404d}}"
)


def write_report(job: JobFolder, plan: Plan) -> str:
    """Writes ``report.html`` beside the job's folder.

    Returns:
        Its path or address.

    Raises:
        UserError: if it cannot be written.
    """
    key = f"{FOLDER}/report.html"
    job.storage.replace(key, "".join(_page(job, plan, status_of(job, plan))).encode())
    return job.storage.address(key)


def _page(job: JobFolder, plan: Plan, status: Status) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>granet-archive: job {job.job}</title><style>{_STYLE}</style>"
    yield "<h1>Recordings without rain</h1><p>"
    yield "<br>".join(escape(line) for line in status.lines())
    yield "</p><table><tr><th>Recording<th>State<th>Frames<th>Hours<th>Before and after</tr>"
    pictures = _MOST_PICTURES
    records = job.storage.map(lambda file: job.file(file.key) if file.key else None, plan)
    for file, record in zip(plan, records, strict=True):
        picture = _picture(job, file) if record is not None and pictures > 0 else ""
        pictures -= bool(picture)
        yield _row(file, record, picture)
    yield "</table>"
    if status.failed_attempts:
        yield "<h2>Failed attempts</h2><ul>"
        for failure in job.failures():
            yield f"<li>{escape(failure.name)}: {escape(failure.reason)} ({escape(failure.worker)})"
        yield "</ul>"
    yield "</html>"


def _row(file: PlannedFile, record: FileRecord | None, picture: str) -> str:
    if record is None:
        state = f'<td class="bad">{escape(file.problem)}' if file.problem else "<td>not finished"
        frames = f"{file.frames} expected"
    else:
        troubles = _troubles(record)
        state = f'<td class="{"bad" if troubles else "ok"}">{escape("; ".join(troubles) or "done")}'
        state += "".join(f"<br>{escape(note)}" for note in record.notes)
        frames = f"{record.frames}"
    hours = f"{file.seconds / 3600:.3f}"
    return f'<tr><td>{escape(file.name)}{state}<td class="n">{frames}<td class="n">{hours}<td>{picture}</tr>'


def _troubles(record: FileRecord) -> list[str]:
    found = []
    if record.passed:
        found.append(f"{record.passed} segments passed through unchanged")
    if record.gaps:
        found.append(f"{record.gaps} segments left out")
    if record.frames != record.expected:
        found.append(f"{record.expected} frames expected")
    return found


def _picture(job: JobFolder, file: PlannedFile) -> str:
    picture = job.thumbnail(file.key)
    if picture is None:
        return ""
    data = base64.b64encode(picture).decode()
    return f'<img loading="lazy" alt="before and after" src="data:image/jpeg;base64,{data}">'
