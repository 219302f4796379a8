"""The entry point of ``granet-export``; see :mod:`granet.app.start`."""

from granet.app.start import start


def export() -> None:
    """``granet-export``."""
    start("export.cli")
