"""``granet-run``: removes rain from pictures, videos, cameras and streams."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, run_app, say
from granet.app.used_options import StrictCommand, given_options
from runtime.live.outputs import View
from runtime.run.once import run_once
from runtime.run.options import RunOptions
from runtime.run.rules import check_run_options
from runtime.run.streams import run_streams
from runtime.sources.camera.v4l2 import list_cameras

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(cls=StrictCommand)
def run(
    context: typer.Context,
    camera: Annotated[
        str | None,
        typer.Option(metavar="N", help="Read a camera of this machine: its number, from 0, or /dev/video0."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SRC",
            help="Read a picture, a directory of pictures, a pattern in quotes, a video file, a URL (http, "
            "https, rtsp, rtsps), csi://N, gst:PIPELINE, or - for a video on stdin. ${NAME} in a URL is "
            "replaced by that environment variable.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Run this model: lite or base (packaged), or a path to an ONNX model, an engine or a "
            "checkpoint (default: base on a GPU if it is packaged, else lite).",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="DST",
            help="Write a video file (.mp4 .m4v .mov .mkv .webm .avi), a picture, a directory, - for "
            "Matroska on stdout, an rtsp(s) or rtmp(s) address to push to, virtual-camera[:DEVICE], window, "
            "or null. Repeat for more (default: a window, unless --serve is given).",
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT", help="Serve a web page with the live picture (default host: 127.0.0.1)."
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT", help="Serve Prometheus metrics at /metrics (default host: 127.0.0.1)."
        ),
    ] = None,
    show: Annotated[
        View | None,
        typer.Option(
            metavar="VIEW",
            help="Show result, compare (input left, result right), slider (both in one picture, in a "
            "window), or mask (the removed rain, painted over the input) (default: result).",
        ),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Same as --show compare.")] = False,
    skip_dry: Annotated[
        bool, typer.Option("--skip-dry", help="Pass frames through unchanged while it does not rain.")
    ] = False,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="Discard the result, to measure speed.")
    ] = False,
    max_frames: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after N frames (default: all).")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML", help="Run several streams through one engine, as this file says. Use it alone."
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Treat an http address as live: wait for it and reconnect.")
    ] = False,
    list_all: Annotated[
        bool, typer.Option("--list-cameras", help="Print the cameras of this machine and exit.")
    ] = False,
    raw: Annotated[
        str | None,
        typer.Option(metavar="WxH:FORMAT@FPS", help="Read raw frames from --input -, like 640x480:bgr24@30."),
    ] = None,
    give_up_after: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="S", help="Fail after S seconds without a frame of a live source (default: never)."
        ),
    ] = None,
    camera_format: Annotated[
        str | None,
        typer.Option(metavar="FOURCC", help="Pixel format for --camera: MJPG, YUYV (default: the camera's)."),
    ] = None,
    camera_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Capture size for --camera (default: the camera's).")
    ] = None,
    camera_rate: Annotated[
        str | None,
        typer.Option(metavar="FPS", help="Frames per second for --camera (default: the camera's)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    device: Annotated[
        str, typer.Option(metavar="D", help="Run on auto, cpu, cuda, cuda:N, gpu or npu.")
    ] = "auto",
    backend: Annotated[
        str,
        typer.Option(
            metavar="B",
            help="Run in auto, onnxruntime, onnxruntime-tensorrt, openvino, tensorrt or torch.",
        ),
    ] = "auto",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Rebuild an engine that was built for another machine.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    debug: DebugOption = False,
) -> None:
    """Remove rain from pictures, videos, cameras and streams.

    A video keeps its frame rate, timestamps, sound, colours and orientation; pictures keep their names. No
    frame of a file is lost. A live source is read at its own pace: late frames are dropped and counted, and
    a broken connection is reopened. Ctrl-C finishes the output. An option that the run would not use is an
    error. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    options = RunOptions(
        camera=camera,
        source=source,
        model=model,
        outputs=tuple(outputs or ()),
        serve=serve,
        metrics=metrics,
        show=show,
        compare=compare,
        skip_dry=skip_dry,
        no_window=no_window,
        max_frames=max_frames,
        config=config,
        live=live,
        list_cameras=list_all,
        raw=raw,
        give_up_after=give_up_after,
        camera_format=camera_format,
        camera_size=camera_size,
        camera_rate=camera_rate,
        as_json=as_json,
        device=device,
        backend=backend,
        rebuild=rebuild,
        overwrite=overwrite,
    )
    check_run_options(options, given_options(context))
    if options.list_cameras:
        _print_cameras()
    elif options.config is not None:
        run_streams(options.config)
    else:
        run_once(options)


def _print_cameras() -> None:
    cameras = list_cameras()
    for camera in cameras:
        sys.stdout.write(f"{camera.device}  {camera.name or camera.problem}\n")
        sys.stdout.writelines(f"    {mode}\n" for mode in camera.modes)
    if not cameras:
        say("this machine has no camera that this user may open")


def main() -> None:
    """Entry point of ``granet-run``."""
    status = run_app(app)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # Not sys.exit: all that was begun is finished, and unloading the libraries takes seconds on a busy
    # machine, and may crash under a thread that is still in one of their reads.
    os._exit(status)


if __name__ == "__main__":
    main()
