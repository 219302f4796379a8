"""``python -m runtime.demo_clip FILE``: writes a demo clip, synthetic rain on a drawn street.

Street and rain are computed (:mod:`granet.synthetic.street`, :mod:`granet.synthetic.rain`); the same
options give the same frames on every machine.
"""

from fractions import Fraction
from typing import Annotated

import numpy as np
import typer

from granet.app.console import DebugOption, Notes, run_app, say
from granet.app.progress import terminal_progress
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.media.frame import Frame
from runtime.sinks.video.sink import VideoSink
from runtime.sources.base import StreamInfo

RATE = 25
"""Frames per second."""

HEIGHT, WIDTH = 320, 480

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def make(
    destination: Annotated[str, typer.Argument(help="Video file to write.")],
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Length of the clip in seconds.")] = 3.0,
    heaviness: Annotated[float, typer.Option(min=0, max=1, help="Rain: 0 drizzle, 1 cloudburst.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for street and rain.")] = 3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    debug: DebugOption = False,
) -> None:
    """Write a video of rain on a street: 480x320, 25 frames per second."""
    info = StreamInfo("demo clip", "video", rate=Fraction(RATE), time_base=Fraction(1, RATE))
    sink = VideoSink(destination, info, Notes(), overwrite=overwrite)
    rain = sample_rain(np.random.default_rng(seed), heaviness)
    count = max(1, round(seconds * RATE))
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
    say(f"{destination}: {count} frames of 480x320")


if __name__ == "__main__":
    raise SystemExit(run_app(app))
