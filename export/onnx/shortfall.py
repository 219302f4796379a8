"""A note on a model that is right, but further from PyTorch than that of a trained network."""

from dataclasses import replace

from granet.app.console import say
from runtime.checks.parity import TRAINED, ParityReport


def note_shortfall(report: ParityReport, precision: str) -> None:
    """Says where a model that is within its budget is further from PyTorch than that of a trained network."""
    short = replace(report, budget=TRAINED[precision]).misses()
    if short and not report.misses():
        say(f"note: a trained network is expected to come nearer to PyTorch: {'; '.join(short)}")
