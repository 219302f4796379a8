"""Nowhere: to measure."""

from runtime.media.frame import Frame
from runtime.sinks.base import Sink


class NullSink(Sink):
    """Drops every frame."""

    name = "nowhere (measuring only)"

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Does nothing."""
