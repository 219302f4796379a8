"""The options of ``granet-run``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from granet.app.command import Json, Options, Overwrite
from granet.app.options import Map
from granet.app.value import checked
from runtime.encoding_option import Bitrate, Codec, Crf, PixFmt, Preset, encoding_of
from runtime.live.outputs import Outputs, View
from runtime.model_option import BackendOption, DeviceOption
from runtime.sinks.open import NULL, WINDOW, is_written_to_disk
from runtime.sources.camera.source import CameraOptions, parse_camera_options
from runtime.sources.part.part import Part
from runtime.sources.video.hardware import Hwaccel
from runtime.sources.video.raw import parse_raw
from runtime.telemetry.listen import Metrics, parse_listen


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """The options by their names; ``None`` or empty where one was not given.

    Attributes:
        source: ``--input``.
        renames: each ``--map``.
        outputs: each ``--output``.
        as_json: ``--json``.
    """

    positional: ClassVar[str] = "--input"

    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
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
            help="Run this model: lite or base (packaged), a path to an ONNX model, an engine or a "
            "checkpoint, or grpc(s)://HOST:PORT/NAME on a server (default: lite; on a GPU base).",
        ),
    ] = None
    renames: Map = None
    outputs: Annotated[
        list[str],
        typer.Option(
            "--output",
            "-o",
            metavar="DST",
            help="Write a video file (.mp4 .m4v .mov .mkv .webm .avi), a picture, a directory, - for "
            "Matroska on stdout, an rtsp(s), rtmp(s) or whip(s) address to push to, virtual-camera[:DEVICE], "
            "window, or null. Repeat for more (default: a window, unless --serve is given).",
        ),
    ] = field(default_factory=list)
    codec: Codec = None
    crf: Crf = None
    preset: Preset = None
    bitrate: Bitrate = None
    pix_fmt: PixFmt = None
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT", help="Serve a web page with the live picture (default host: 127.0.0.1)."
        ),
    ] = None
    metrics: Metrics = None
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
    hwaccel: Annotated[
        Hwaccel,
        typer.Option(
            "--hwaccel",
            metavar="DEVICE",
            help="Decode a video on cuda, vaapi, qsv or videotoolbox, or on auto: the first that works, else "
            "the CPU (default: none, the CPU).",
            show_default=False,
        ),
    ] = "none"
    start: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Begin at this time of a video file, like 90s, 1.5m or 1:30 (default: 0).",
        ),
    ] = None
    duration: Annotated[
        str | None,
        typer.Option(metavar="T", help="Read this much of a file, from --start (default: to its end)."),
    ] = None
    every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Read every Nth frame of a file (default: all).")
    ] = None
    loop: Annotated[
        bool,
        typer.Option(
            "--loop",
            help="Repeat a video file: for ever, in real time; in a file, for --duration or --max-frames.",
        ),
    ] = False
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
        typer.Option(
            metavar="WxH:FORMAT@FPS",
            callback=checked(parse_raw),
            help="Read raw frames from --input -, like 640x480:bgr24@30.",
        ),
    ] = None
    give_up_after: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="S", help="Fail after S seconds without a frame of a live source (default: never)."
        ),
    ] = None
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Fail at the first damage of a video or a folder (default: report it)."
        ),
    ] = False
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
    device: DeviceOption = "auto"
    backend: BackendOption = "auto"
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
            serve=None if self.serve is None else parse_listen(self.serve, "--serve"),
            metrics=None if self.metrics is None else parse_listen(self.metrics, "--metrics"),
            view=self.view,
            window=not self.no_window,
            overwrite=self.overwrite,
            limit=self.max_frames,
            encoding=encoding_of(self.codec, self.crf, self.preset, self.bitrate, self.pix_fmt),
        )

    def parsed_part(self) -> Part:
        """The part of a file that is read.

        Raises:
            UsageError: if a time is malformed, or the duration is zero.
        """
        return Part.parsed(
            self.start, self.duration, every=self.every or 1, loop=self.loop, paced=not self.writes_files
        )

    @property
    def writes_files(self) -> bool:
        """Whether an output is a file or a directory."""
        return any(map(is_written_to_disk, self.outputs))

    def parsed_camera(self) -> CameraOptions:
        """The capture settings that the camera is asked for.

        Raises:
            UsageError: if the size or the rate is malformed.
        """
        return parse_camera_options(self.camera_format, self.camera_size, self.camera_rate)
