"""Which sink a text of the command line means."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from granet.app.console import Say, UsageError
from granet.app.credentials import mask
from granet.data.image_files import PICTURE_SUFFIXES, is_picture
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.pictures.directory import DirectorySink
from runtime.sinks.pictures.single import PictureSink
from runtime.sinks.push.sink import PushSink, is_push
from runtime.sinks.video.containers import CONTAINERS
from runtime.sinks.video.recording import RecordingSink
from runtime.sinks.video.sink import STDOUT, VideoSink
from runtime.sinks.virtual_camera import VIRTUAL_CAMERA, VirtualCameraSink
from runtime.sinks.window import WindowSink
from runtime.sources.base import StreamInfo
from runtime.sources.url import is_url
from runtime.telemetry.health import Health

WINDOW, NULL = "window", "null"
"""Destinations that are no files; a directory of that name is ``./window``."""


class NullSink(Sink):
    """Drops every frame."""

    name = "nowhere (measuring only)"

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Does nothing."""


def open_sink(
    text: str | None,
    info: StreamInfo,
    say: Say,
    *,
    window: bool,
    overwrite: bool,
    limit: int | None,
    health: Health | None = None,
    slider: bool = False,
) -> Sink:
    """A video file or a picture by its ending, a directory, ``-`` for stdout; a window or nothing.

    Args:
        text: the destination: a path, ``-``, an address to push to, ``virtual-camera`` (with ``:`` and
            a device after it, if a certain one is meant), :data:`WINDOW` or :data:`NULL`; ``None`` for a
            window, or for nothing if there shall be no window.
        info: of the source.
        say: is told what is not kept.
        window: whether there may be a window.
        overwrite: whether files that exist may be replaced.
        limit: most frames that are written; ``None`` for all.
        health: of the stream.
        slider: of a window: a slider between input and result.

    Raises:
        UserError: if the destination is refused; a :class:`UsageError` if it can never be right.
    """
    health = health or Health(info.name, live=info.live)
    if text in (None, WINDOW):
        return WindowSink(info, health, slider=slider) if window or text == WINDOW else NullSink()
    assert text is not None
    if text == NULL:
        return NullSink()
    if text == STDOUT:
        if os.isatty(1) or sys.stdout is None:
            raise UsageError("--output -: stdout is a terminal; redirect it to a file or a program")
        return VideoSink(text, info, say, overwrite=overwrite)
    if not text:
        raise UsageError("--output: is empty; give a file, a directory or an address (--help lists them)")
    if is_push(text):
        if not urlsplit(text).hostname:
            raise UsageError(
                f"--output {mask(text)}: has no host; write rtsp://HOST/PATH or rtmp://HOST/APP/KEY"
            )
        return PushSink(text, info, say, health=health)
    kind, _, device = text.partition(":")
    if kind == VIRTUAL_CAMERA:
        return VirtualCameraSink(device or None, info, health)
    return _open_path(text, info, say, health, overwrite=overwrite, limit=limit)


def _open_path(
    text: str, info: StreamInfo, say: Say, health: Health, *, overwrite: bool, limit: int | None
) -> Sink:
    path = Path(text)
    if is_url(text) and not path.exists():
        raise UsageError(
            f"--output {mask(text)}: cannot be written to; addresses that can are rtsp, rtsps, rtmp and rtmps"
        )
    if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        return DirectorySink(path, info, say, overwrite=overwrite)
    if path.suffix.lower() in CONTAINERS:
        if info.live:
            return RecordingSink(text, info, say, overwrite=overwrite, health=health)
        if "%" in text:
            say(f"{text}: % stands for the time in recordings of live sources only, here for itself")
        return VideoSink(text, info, say, overwrite=overwrite)
    if is_picture(path):
        if info.frames != 1 and limit != 1:
            raise UsageError(
                f"--output {text}: is one picture and the input has more: "
                "give a directory, or --max-frames 1 for the first"
            )
        return PictureSink(path, info, say, overwrite=overwrite)
    raise UsageError(
        f"--output {text}: unknown ending {path.suffix} (videos: {' '.join(CONTAINERS)}; "
        f"pictures: {' '.join(sorted(PICTURE_SUFFIXES))}; a directory has none)"
    )
