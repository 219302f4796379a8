"""The entry point of ``granet-train``; see :mod:`granet.app.start`."""

from granet.app.start import start


def train() -> None:
    """``granet-train``."""
    start("granet.training.cli")
