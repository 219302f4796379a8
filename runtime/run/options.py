"""The options of ``granet-run``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from granet.app.command import Json, Options, Overwrite
from runtime.live.outputs import Outputs, View
from runtime.sinks.open import NULL, WINDOW
from runtime.sources.camera.source import CameraOptions, parse_camera_options
from runtime.telemetry.listen import parse_listen


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """The options by their names; ``None`` or empty where one was not given.

    Attributes:
        source: ``--input``.
        outputs: each ``--output``.
        as_json: ``--json``.
    """

    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SRC",
            help="Read a picture, a directory of pictures, a pattern in quotes, a video file, a URL (http, "
            "https, rtsp, rtsps), csi://N, gst:PIPELINE, or - for a video on stdin. ${NAME} in a URL is "
            "replaced by that environment variable.",
        ),
    ] = None
    camera: Annotated[
        str | None,
        typer.Option(metavar="N", help="Read a camera of this machine: its number, from 0, or /dev/video0."),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Run this model: lite or base (packaged), or a path to an ONNX model, an engine or a "
            "checkpoint (default: base on a GPU if it is packaged, else lite).",
        ),
    ] = None
    outputs: Annotated[
        list[str],
        typer.Option(
            "--output",
            metavar="DST",
            help="Write a video file (.mp4 .m4v .mov .mkv .webm .avi), a picture, a directory, - for "
            "Matroska on stdout, an rtsp(s) or rtmp(s) address to push to, virtual-camera[:DEVICE], window, "
            "or null. Repeat for more (default: a window, unless --serve is given).",
        ),
    ] = field(default_factory=list)
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT", help="Serve a web page with the live picture (default host: 127.0.0.1)."
        ),
    ] = None
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT", help="Serve Prometheus metrics at /metrics (default host: 127.0.0.1)."
        ),
    ] = None
    show: Annotated[
        View | None,
        typer.Option(
            metavar="VIEW",
            help="Show result, compare (input left, result right), slider (both in one picture, in a "
            "window), or mask (the removed rain, painted over the input) (default: result).",
        ),
    ] = None
    compare: Annotated[bool, typer.Option("--compare", help="Same as --show compare.")] = False
    skip_dry: Annotated[
        bool, typer.Option("--skip-dry", help="Pass frames through unchanged while it does not rain.")
    ] = False
    no_window: Annotated[bool, typer.Option("--no-window", help="Discard the result, to measure speed.")] = (
        False
    )
    max_frames: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after N frames (default: all).")
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML", help="Run several streams through one engine, as this file says. Use it alone."
        ),
    ] = None
    live: Annotated[
        bool, typer.Option("--live", help="Treat an http address as live: wait for it and reconnect.")
    ] = False
    list_cameras: Annotated[
        bool, typer.Option("--list-cameras", help="Print the cameras of this machine and exit.")
    ] = False
    raw: Annotated[
        str | None,
        typer.Option(metavar="WxH:FORMAT@FPS", help="Read raw frames from --input -, like 640x480:bgr24@30."),
    ] = None
    give_up_after: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="S", help="Fail after S seconds without a frame of a live source (default: never)."
        ),
    ] = None
    camera_format: Annotated[
        str | None,
        typer.Option(metavar="FOURCC", help="Pixel format for --camera: MJPG, YUYV (default: the camera's)."),
    ] = None
    camera_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Capture size for --camera (default: the camera's).")
    ] = None
    camera_rate: Annotated[
        str | None,
        typer.Option(metavar="FPS", help="Frames per second for --camera (default: the camera's)."),
    ] = None
    as_json: Json = False
    device: Annotated[str, typer.Option(metavar="D", help="Run on auto, cpu, cuda, cuda:N, gpu or npu.")] = (
        "auto"
    )
    backend: Annotated[
        str,
        typer.Option(
            metavar="B",
            help="Run in auto, onnxruntime, onnxruntime-tensorrt, openvino, tensorrt or torch.",
        ),
    ] = "auto"
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Rebuild an engine that was built for another machine.")
    ] = False
    overwrite: Overwrite = False

    @property
    def view(self) -> View:
        """The view that is shown and written."""
        return "compare" if self.compare else self.show or "result"

    @property
    def viewers(self) -> tuple[str, ...]:
        """The outputs that show a view; the page, which has views of its own, is not one of them."""
        if self.outputs:
            return tuple(output for output in self.outputs if output != NULL)
        return () if self.no_window or self.serve is not None else (WINDOW,)

    def parsed_outputs(self) -> Outputs:
        """All outputs of the run.

        Raises:
            UsageError: if an address to listen on is malformed.
        """
        return Outputs(
            tuple(self.outputs),
            serve=None if self.serve is None else parse_listen(self.serve),
            metrics=None if self.metrics is None else parse_listen(self.metrics),
            view=self.view,
            window=not self.no_window,
            overwrite=self.overwrite,
            limit=self.max_frames,
        )

    def parsed_camera(self) -> CameraOptions:
        """The capture settings that the camera is asked for.

        Raises:
            UsageError: if the size or the rate is malformed.
        """
        return parse_camera_options(self.camera_format, self.camera_size, self.camera_rate)
