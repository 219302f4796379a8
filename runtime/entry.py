"""The entry points of the commands; see :mod:`granet.app.start`."""

from granet.app.start import start


def run() -> None:
    """``granet-run``."""
    start("runtime.cli")


def evaluate() -> None:
    """``granet-eval``."""
    start("runtime.evaluation.cli")


def archive() -> None:
    """``granet-archive``."""
    start("runtime.archive.cli")
