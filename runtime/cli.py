"""``granet-run``: removes rain from pictures, videos, cameras and streams."""

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, Interrupted, Notes, UsageError, run_app, say
from granet.app.progress import terminal_progress
from granet.app.signals import on_interrupt
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.live.outputs import Outputs, View, open_outputs, open_page
from runtime.live.pipeline import Pipeline
from runtime.live.shared_engine import SharedEngine
from runtime.live.streams import Streams
from runtime.live.streams_config import StreamConfig, StreamsConfig, read_streams_config
from runtime.live.watchdog import Watchdog
from runtime.models.packaged import packaged_model
from runtime.open import open_engine
from runtime.rebuild import open_or_rebuild
from runtime.sinks.several import SeveralSinks
from runtime.sinks.video.sink import STDOUT
from runtime.sources.base import Source, StreamInfo
from runtime.sources.camera.source import CameraOptions, device_path, parse_camera_options
from runtime.sources.camera.v4l2 import list_cameras
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import may_be_waited_for, open_camera, open_raw, open_source
from runtime.sources.url import expanded
from runtime.telemetry.health import Health
from runtime.telemetry.listen import parse_listen
from runtime.telemetry.terminal import status_line

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def run(
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Camera of this machine: a number, from 0, or a device (/dev/video0)."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SRC",
            help="Picture, directory of pictures, pattern in quotes, video file, URL (http, https, rtsp, "
            "rtsps), csi://N, gst:PIPELINE, or - for a video on stdin. In a URL, ${NAME} is a variable of "
            "the environment.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Model (.onnx), engine (.engine) or checkpoint. Without it, the one that came along.",
        ),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="DST",
            help="Video file (.mp4 .m4v .mov .mkv .webm .avi), picture, directory, - for Matroska on stdout, "
            "an rtsp(s) or rtmp(s) address to push to, virtual-camera[:DEVICE], window, or null; may be "
            "repeated. Without it and --serve, a window.",
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT", help="Web page with the live picture; for this machine only without HOST."
        ),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="[HOST]:PORT", help="Figures for Prometheus, at /metrics.")
    ] = None,
    show: Annotated[
        View,
        typer.Option(
            metavar="V",
            help="result; compare: input left, result right; slider: the same in one picture, in a window; "
            "mask: the rain, painted over the input: the rain mask of a model exported with --stages, less "
            "its median over the frame, else input minus result.",
        ),
    ] = "result",
    compare: Annotated[bool, typer.Option("--compare", help="The same as --show compare.")] = False,
    skip_dry: Annotated[
        bool, typer.Option("--skip-dry", help="Pass frames without rain as they are, and save the work.")
    ] = False,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="Without --output: write nothing, only measure.")
    ] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N frames.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML", help="Several streams through one engine (docs/running.md); no other options."
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="The http address is a live stream: wait for it, and never end.")
    ] = False,
    list_all: Annotated[
        bool, typer.Option("--list-cameras", help="Print the cameras of this machine, and end.")
    ] = False,
    raw: Annotated[
        str | None,
        typer.Option(metavar="WxH:FORMAT@FPS", help="--input - is raw frames: 640x480:bgr24@30, for one."),
    ] = None,
    give_up_after: Annotated[
        float | None,
        typer.Option(min=1, metavar="S", help="End after S seconds without a frame from a live source."),
    ] = None,
    camera_format: Annotated[
        str | None, typer.Option(metavar="FOURCC", help="Of --camera, as V4L2 names it: MJPG, YUYV.")
    ] = None,
    camera_size: Annotated[str | None, typer.Option(metavar="WxH", help="Of --camera.")] = None,
    camera_rate: Annotated[str | None, typer.Option(metavar="FPS", help="Of --camera.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N, gpu or npu.")] = "auto",
    backend: Annotated[str, typer.Option(metavar="B", help="auto, onnxruntime, openvino or torch.")] = "auto",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="An engine that is not for this machine is built again first.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    debug: DebugOption = False,
) -> None:
    """Removes rain from pictures, videos, cameras and streams.

    A video keeps its frame rate, timestamps, sound, colours and orientation; pictures keep their
    names. A file loses no frame; of a camera or a live stream the newest frame counts, what is dropped
    is counted, and what breaks is opened again. Ctrl-C finishes the output. Exit status: 0 done, 1
    failed, 2 wrong usage, 130 interrupted.
    """
    if list_all:
        _print_cameras()
        return
    if config is not None:
        if camera is not None or source is not None or outputs or serve is not None:
            raise UsageError("--config says what is read and written; leave the other options out")
        _run_config(read_streams_config(config))
        return
    if STDOUT in (outputs or []) and as_json:
        raise UsageError("--output - and --json both write to stdout; use one of them")
    if compare and show not in ("result", "compare"):
        raise UsageError(f"--compare and --show {show} are two views; use one of them")
    wanted = Outputs(
        tuple(outputs or ()),
        serve=None if serve is None else parse_listen(serve),
        metrics=None if metrics is None else parse_listen(metrics),
        view="compare" if compare else show,
        window=not no_window,
        overwrite=overwrite,
        limit=max_frames,
    )
    notes, watchdog = Notes(), Watchdog()
    patience = LiveOptions(give_up_after=give_up_after, live=live, announce=say, waiting=watchdog.alive)
    if (camera is None) == (source is None):
        raise UsageError("give one of --camera and --input (--help lists the options)")
    if source is not None:
        wanted_source = _input(source, raw, patience, notes)
    else:
        options = parse_camera_options(camera_format, camera_size, camera_rate)
        wanted_source = _camera(str(camera), options, patience)
    _run_one(
        wanted,
        wanted_source,
        lambda: _open_engine(model, device, backend, rebuild=rebuild),
        notes,
        watchdog,
        skip_dry=skip_dry,
        as_json=as_json,
    )


@dataclass(frozen=True)
class _Wanted:
    """A source that is not open yet.

    Attributes:
        health: what is told of it before it is open, and after.
        may_be_away: it is waited for, if it is.
        open: opens it.
    """

    health: Health
    may_be_away: bool
    open: Callable[[], Source]


def _run_one(
    wanted: Outputs,
    source: _Wanted,
    open_model: Callable[[], Engine],
    notes: Notes,
    watchdog: Watchdog,
    *,
    skip_dry: bool,
    as_json: bool,
) -> None:
    """One source through one engine."""
    with ExitStack() as held:
        _serve_metrics(wanted.metrics, [source.health], held)
        # Until they run, an error leaves nothing of them behind.
        unused = held.enter_context(ExitStack())
        page = open_page(wanted, source.health, say)
        if page is not None:
            unused.callback(page.abort)
        if source.may_be_away:
            if page is not None:
                say(f"page: {page.name}")
            # What is wrong with the model is told now, and the first frame does not wait for it to be loaded.
            engine = held.enter_context(open_model())
            watchdog.ready()
            with status_line([source.health]):
                frames = held.enter_context(source.open())
        else:
            frames = held.enter_context(source.open())
            engine = held.enter_context(open_model())
            watchdog.ready()
        sink = open_outputs(wanted, frames, notes, say, watchdog.alive, page)
        unused.pop_all()
        try:
            _run(frames, engine, sink, notes, wanted, skip_dry=skip_dry, as_json=as_json)
        finally:
            watchdog.stopping()
            if skip_dry:
                dry = frames.health.snapshot().frames_dry
                say(f"{dry} frames were dry and passed as they are")


def _serve_metrics(listen: tuple[str, int] | None, healths: Sequence[Health], held: ExitStack) -> None:
    """Serves from now on, until ``held`` ends."""
    if listen is not None:
        from runtime.telemetry.prometheus import metrics_server

        say(f"metrics: {held.enter_context(metrics_server(listen, healths))}")


def _print_cameras() -> None:
    cameras = list_cameras()
    for camera in cameras:
        sys.stdout.write(f"{camera.device}  {camera.name or camera.problem}\n")
        sys.stdout.writelines(f"    {mode}\n" for mode in camera.modes)
    if not cameras:
        say("there is no camera on this machine, or none that may be seen")


def _input(text: str, raw: str | None, patience: LiveOptions, notes: Notes) -> _Wanted:
    health = Health("stdin" if text == "-" else text, say=say)
    if raw is not None:
        if text != "-":
            raise UsageError("--raw is for --input -")
        return _Wanted(health, may_be_away=False, open=lambda: open_raw(raw, health))
    address = expanded(text, notes)
    return _Wanted(
        health,
        may_be_waited_for(address, patience),
        lambda: open_source(address, notes, patience, None, health),
    )


def _camera(text: str, options: CameraOptions, patience: LiveOptions) -> _Wanted:
    camera, health = _camera_of(text), Health(f"camera {text}", say=say)
    return _Wanted(
        health, may_be_away=True, open=lambda: open_camera(camera, options, patience, None, health)
    )


def _camera_of(text: str) -> int | str:
    """A number or a device.

    Raises:
        UsageError: if it is neither.
        UserError: if there is no such camera now.
    """
    if not text.isdecimal() and not text.startswith("/"):
        raise UsageError(f"--camera {text}: give a number, from 0, or a device (/dev/video0)")
    camera = int(text) if text.isdecimal() else text
    # Waiting for ever is for cameras that went away, not for a wrong number.
    path = device_path(camera)
    if path is not None and not path.exists():
        raise UserError(f"camera {text} is not there: there is no {path}")
    return camera


def _run_config(config: StreamsConfig) -> None:
    engine = SharedEngine(
        _open_engine(Path(config.model) if config.model else None, config.device, config.backend)
    )
    watchdog = Watchdog()
    notes = Notes()

    def open_stream(
        stream: StreamConfig, patience: LiveOptions, cancelled: threading.Event, health: Health
    ) -> Source:
        if stream.camera:
            return open_camera(_camera_of(stream.camera), CameraOptions(), patience, cancelled, health)
        return open_source(expanded(stream.input, notes), notes, patience, cancelled, health)

    streams = Streams(config, engine, open_stream, say, watchdog.alive)
    with ExitStack() as held:
        held.callback(engine.close)
        _serve_metrics(parse_listen(config.metrics) if config.metrics else None, streams.healths, held)
        say(f"{len(config.stream)} streams, with {engine.engine.info.description}")
        watchdog.ready()
        with on_interrupt(streams.stop) as interruption:
            streams.run()
        watchdog.stopping()
    if interruption.happened:
        raise Interrupted
    if streams.failed:
        raise UserError(
            f"{len(streams.failed)} of {len(config.stream)} streams failed: {', '.join(streams.failed)}"
        )


def _open_engine(model: Path | None, device: str, backend: str, *, rebuild: bool = False) -> Engine:
    path = model or packaged_model(device, backend)
    if model is None and not path.exists():
        raise UserError(f"the model that comes with the package is missing ({path}); name one with --model")
    return open_or_rebuild(path, device, backend, say) if rebuild else open_engine(path, device, backend)


def _run(
    source: Source,
    engine: Engine,
    sink: SeveralSinks,
    notes: Notes,
    wanted: Outputs,
    *,
    skip_dry: bool,
    as_json: bool,
) -> None:
    info, limit = source.info, wanted.limit
    say(f"{_describe(info)} -> {sink.name}, with {engine.info.model} ({engine.info.description})")
    with status_line([source.health]) if info.live else terminal_progress("frames", "fps") as progress:
        pipeline = Pipeline(
            source,
            engine,
            sink,
            compare=sink.wants_before,
            skip_dry=skip_dry,
            show_mask=wanted.view == "mask",
            limit=limit,
            say=notes,
            announce=say,
            progress=progress,
        )

        def stop() -> None:
            pipeline.stop()
            sink.release()

        with on_interrupt(stop) as interruption:
            summary = pipeline.run()
    say(("interrupted; " if interruption.happened else "") + str(summary))
    if as_json:
        sys.stdout.write(json.dumps(summary.to_dict()) + "\n")
    if interruption.happened:
        raise Interrupted
    if sink.failed:
        raise UserError(f"an output failed during the run: {sink.failed[0]}")


def _describe(info: StreamInfo) -> str:
    """The source, for people: name, size, rate, frames."""
    facts = []
    if info.size is not None:
        facts.append(f"{info.size[1]}x{info.size[0]}")
    if info.rate is not None:
        facts.append(f"{float(info.rate):.5g} fps")
    if info.frames is not None:
        unit = "frame" if info.kind == "video" else "picture"
        facts.append(f"{info.frames} {unit}{'' if info.frames == 1 else 's'}")
    return f"{info.name} ({', '.join(facts)})" if facts else info.name


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
