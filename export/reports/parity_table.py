"""The parity report as a table."""

from rich.table import Table

from granet.app.results import ResultConsole
from granet.evaluation.metrics import IDENTICAL_DB
from runtime.checks.parity import CaseParity, ParityReport, in_short


def print_parity(report: ParityReport) -> None:
    """Prints the report on stdout: the worst pictures and all hard cases, then the totals."""
    out = ResultConsole()
    table = Table("", "PSNR to PyTorch", "off by more than 1", "largest", title=report.model)
    for column in table.columns[1:]:
        column.justify = "right"
    shown = sorted(report.pictures, key=lambda case: case.psnr_db)[:10]
    for case in [*shown, *(case for case in report.cases if case.hard and case not in shown)]:
        table.add_row(case.name, _db(case.psnr_db), _share(case), f"{case.largest}")
    table.add_section()
    table.add_row(
        f"{len(report.pictures)} pictures, mean", _db(report.mean_db), f"{report.share:.1e}", "", style="bold"
    )
    budget = report.budget
    table.add_row(
        "budget",
        f"{budget.mean_db:g}, worst {budget.min_db:g}, hard {budget.hard_db:g} dB",
        f"{budget.share:.1e}",
        "",
    )
    out.print(table)
    if len(report.pictures) > len(shown):
        out.print(f"the {len(shown)} worst of {len(report.pictures)} pictures; --json has them all")
    out.print("parity holds" if not report.misses() else f"parity missed: {in_short(report.misses())}")


def _db(value: float) -> str:
    return f">= {IDENTICAL_DB:g} dB" if value >= IDENTICAL_DB else f"{value:.1f} dB"


def _share(case: CaseParity) -> str:
    return f"{case.off_by_more_than_1 / case.values:.1e}" if case.off_by_more_than_1 else "0"
