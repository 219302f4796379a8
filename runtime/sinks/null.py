"""A sink that discards frames, for measurements."""

from runtime.media.frame import Frame
from runtime.sinks.base import Sink


class NullSink(Sink):
    """Discards every frame."""

    name = "nowhere (measuring only)"

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Discards the frame."""
