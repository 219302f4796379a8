"""Measures a whole run: decode a video, remove the rain, encode the result."""

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from granet.size_rule import Size
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.engines.base import Engine
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Frame, Pixels
from runtime.sinks.video.sink import VideoSink
from runtime.sources.base import StreamInfo
from runtime.sources.video.source import VideoSource
from runtime.telemetry.summary import Summary

RATE = 25
"""Frames per second of a clip."""

DRAWN = 6
"""Different pictures of a clip in motion, shown forwards and backwards: drawing one takes a while."""


def measure_end_to_end(engine: Engine, size: Size, frames: int) -> Summary:
    """Runs a clip from an H.264 file to an H.264 file in a temporary directory.

    Args:
        engine: the loaded engine; one frame goes through it before the clock starts.
        size: (height, width) in pixels.
        frames: frames of the clip.

    Raises:
        UserError: if the engine cannot take frames of this size, or the disk is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "rain.mp4", size, frames)
        engine.run(np.zeros((1, *size, 3), np.uint8))
        with VideoSource(str(clip), _ignore) as source:
            sink = VideoSink(str(Path(folder) / "dry.mp4"), source.info, _ignore, overwrite=False)
            return Pipeline(source, engine, sink).run()


def make_clip(path: Path, size: Size, frames: int, drawn: int = DRAWN) -> Path:
    """Writes a clip of rain on a street, of ``drawn`` different pictures."""
    pictures = list(_draw(size, drawn))
    order = [*pictures, *pictures[-2:0:-1]]
    info = StreamInfo("clip", "video", rate=Fraction(RATE), time_base=Fraction(1, RATE), size=size)
    sink = VideoSink(str(path), info, _ignore, overwrite=True)
    sink.start("rgb")
    for index in range(frames):
        sink.write(Frame(order[index % len(order)], index, index, Fraction(1, RATE)))
    sink.finish()
    return path


def _draw(size: Size, count: int) -> Iterator[Pixels]:
    rain = sample_rain(np.random.default_rng(0), 0.3)
    for index in range(count):
        seconds = index / RATE
        yield add_rain(street(*size, time=seconds), render_rain(rain, *size, time=seconds))


def _ignore(message: str) -> None:
    """Notes on a drawn clip concern nobody."""
