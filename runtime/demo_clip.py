"""``python -m runtime.demo_clip DST``: writes a demo clip or picture, synthetic rain on a drawn street.

Street and rain are computed (:mod:`granet.synthetic.street`, :mod:`granet.synthetic.rain`); the same
options give the same frames on every machine.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from granet.app.command import Options, Overwrite, add_command
from granet.app.console import Notes, say
from granet.app.program import run_program
from granet.app.progress import terminal_progress
from granet.data.image_files import is_picture
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.pictures.single import PictureSink
from runtime.sinks.video.sink import VideoSink
from runtime.sources.base import StreamInfo

RATE = 25
"""Frames per second."""

HEIGHT, WIDTH = 320, 480

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True, kw_only=True)
class ClipOptions(Options):
    """The options of the command."""

    destination: Annotated[str, typer.Argument(metavar="DST", help="Video file or picture to write.")]
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Length of the video in seconds.")] = 3.0
    heaviness: Annotated[float, typer.Option(min=0, max=1, help="Rain: 0 drizzle, 1 cloudburst.")] = 0.3
    seed: Annotated[int, typer.Option(min=0, help="Random seed for street and rain.")] = 3
    overwrite: Overwrite = False


def make(options: ClipOptions) -> None:
    """Write a video or a picture of rain on a street: 480x320, 25 frames per second."""
    destination, seed = options.destination, options.seed
    is_one = is_picture(Path(destination))
    options.refuse(
        "--seconds", conflict=f"with {destination}" if is_one else None, why="a picture has no length"
    )
    sink = _open(destination, is_one=is_one, overwrite=options.overwrite)
    rain = sample_rain(np.random.default_rng(seed), options.heaviness)
    count = 1 if is_one else max(1, round(options.seconds * RATE))
    sink.start("rgb")
    finished = False
    try:
        with terminal_progress("frames", "fps") as progress:
            for index in range(count):
                time = index / RATE
                clean = street(HEIGHT, WIDTH, time, seed)
                pixels = add_rain(clean, render_rain(rain, HEIGHT, WIDTH, time))
                sink.write(Frame(pixels, index, index, Fraction(1, RATE)))
                progress(index + 1, count, "")
        sink.finish()
        finished = True
    finally:
        if not finished:
            sink.abort()
    say(f"{destination}: {count} frame{'s' if count > 1 else ''} of {WIDTH}x{HEIGHT}")


def _open(destination: str, *, is_one: bool, overwrite: bool) -> Sink:
    info = StreamInfo("demo clip", "video", rate=Fraction(RATE), time_base=Fraction(1, RATE))
    if is_one:
        return PictureSink(Path(destination), info, Notes(), overwrite=overwrite)
    return VideoSink(destination, info, Notes(), overwrite=overwrite)


add_command(app, ClipOptions, make)


if __name__ == "__main__":
    run_program(app)
