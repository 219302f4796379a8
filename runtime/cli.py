"""``granet-run``: removes rain from pictures, videos and a camera."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from granet.console import DebugOption, Interrupted, Notes, UsageError, run_app, say
from granet.errors import UserError
from granet.signals import on_interrupt
from runtime.engine import Engine
from runtime.open import open_engine
from runtime.pipeline import Pipeline
from runtime.progress import progress_bar
from runtime.sinks.base import Sink
from runtime.sinks.open import open_sink
from runtime.sinks.video import STDOUT
from runtime.sources.base import Source, StreamInfo
from runtime.sources.camera import CameraSource
from runtime.sources.open import open_source

MODEL = Path(__file__).parent / "models" / "lite.onnx"
"""The model that runs when none is named."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def run(
    camera: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Camera of this machine, from 0.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SRC",
            help="Picture, directory of pictures, pattern in quotes, video file, URL "
            "(http, https, rtsp, rtsps), or - for a video on stdin.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="Exported model (.onnx) or checkpoint. Without it, the one that came along."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="DST",
            help="Video file (.mp4 .m4v .mov .mkv .webm .avi), picture, directory, or - for Matroska on "
            "stdout. Without it, a window.",
        ),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Input left, result right.")] = False,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="Without --output: write nothing, only measure.")
    ] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N frames.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N, gpu or npu.")] = "auto",
    backend: Annotated[str, typer.Option(metavar="B", help="auto, onnxruntime, openvino or torch.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    debug: DebugOption = False,
) -> None:
    """Removes rain from pictures, videos and a camera.

    A video keeps its frame rate, timestamps, sound, colours and orientation; pictures keep their
    names. A file loses no frame; of a camera the newest frame counts, and what is dropped is counted.
    Ctrl-C finishes the output. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    if output == STDOUT and as_json:
        raise UsageError("--output - and --json both write to stdout; use one of them")
    notes = Notes()
    with _open_source(camera, source, notes) as frames:
        sink = open_sink(
            output, frames.info, notes, window=not no_window, overwrite=overwrite, limit=max_frames
        )
        with _open_engine(model, device, backend) as engine:
            _run(frames, engine, sink, notes, compare=compare, limit=max_frames, as_json=as_json)


def _open_source(camera: int | None, text: str | None, notes: Notes) -> Source:
    if (camera is None) == (text is None):
        raise UsageError("give one of --camera and --input (--help lists the options)")
    if camera is not None:
        return CameraSource(camera)
    assert text is not None
    return open_source(text, notes)


def _open_engine(model: Path | None, device: str, backend: str) -> Engine:
    if model is None and not MODEL.exists():
        raise UserError(f"the model that comes with the package is missing ({MODEL}); name one with --model")
    return open_engine(model or MODEL, device, backend)


def _run(
    source: Source,
    engine: Engine,
    sink: Sink,
    notes: Notes,
    *,
    compare: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    info = source.info
    say(f"{_describe(info)} -> {sink.name}, with {engine.info.model} ({engine.info.description})")
    total = info.frames if limit is None else min(limit, info.frames or limit)
    with progress_bar(total) as progress:
        pipeline = Pipeline(source, engine, sink, compare=compare, limit=limit, say=notes, progress=progress)
        with on_interrupt(pipeline.stop) as interruption:
            summary = pipeline.run()
    say(("interrupted; " if interruption.happened else "") + str(summary))
    if as_json:
        sys.stdout.write(json.dumps(summary.to_dict()) + "\n")
    if interruption.happened:
        raise Interrupted


def _describe(info: StreamInfo) -> str:
    """The source, for people: name, size, rate, frames."""
    facts = []
    if info.size is not None:
        facts.append(f"{info.size[1]}x{info.size[0]}")
    if info.rate is not None:
        facts.append(f"{float(info.rate):.5g} fps")
    if info.frames is not None:
        facts.append(f"{info.frames} {'frames' if info.kind == 'video' else 'pictures'}")
    return f"{info.name} ({', '.join(facts)})" if facts else info.name


def main() -> None:
    """Entry point of ``granet-run``."""
    sys.exit(run_app(app))


if __name__ == "__main__":
    main()
