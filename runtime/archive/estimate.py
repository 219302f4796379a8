"""Estimate how long a job takes: run the model on the beginning of one recording."""

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from runtime.archive.plan import PlannedFile
from runtime.archive.video_file import read_recording
from runtime.engines.base import Engine
from runtime.live.pipeline import Pipeline
from runtime.sinks.video.encoding import Encoding
from runtime.sinks.video.sink import VideoSink
from runtime.sources.video.span import Span

LONGEST = 60.0
"""Seconds of measuring."""


@dataclass(frozen=True)
class Rate:
    """A measured speed.

    Attributes:
        frames: frames that were decoded, derained and encoded.
        seconds: the time it took.
        pixels: number of pixels of a frame.
    """

    frames: int
    seconds: float
    pixels: int

    def seconds_for(self, frames: int, pixels: int) -> float:
        """Time for frames of another size: it grows with the pixels."""
        return frames * pixels / self.pixels * self.seconds / max(1, self.frames)


def measure_rate(file: PlannedFile, engine: Engine, encoding: Encoding, seconds: float = LONGEST) -> Rate:
    """Decodes, derains and encodes the beginning of a recording into a temporary file.

    Args:
        file: the recording.
        engine: the network.
        encoding: how results are encoded.
        seconds: time after which it stops.

    Raises:
        UserError: if the recording cannot be processed.
    """
    with tempfile.TemporaryDirectory(prefix="granet-archive-") as folder:
        target = Path(folder) / f"measured{Path(file.output).suffix}"
        with read_recording(file.path, lambda note: None, Span()) as source:
            sink = VideoSink(str(target), source.info, lambda note: None, overwrite=False, encoding=encoding)
            pipeline = Pipeline(source, engine, sink)
            timer = threading.Timer(seconds, pipeline.stop)
            timer.start()
            try:
                summary = pipeline.run()
            finally:
                timer.cancel()
    return Rate(summary.frames_out, summary.seconds, file.width * file.height)
