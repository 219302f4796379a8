"""Open the sink that a command-line argument names."""

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
"""Reserved destinations; write ``./window`` for a directory of that name."""


def is_written_to_disk(text: str) -> bool:
    """Whether a destination of :func:`open_sink` is a file or a directory."""
    if text in (WINDOW, NULL, STDOUT) or is_push(text):
        return False
    return text.partition(":")[0] != VIRTUAL_CAMERA


class NullSink(Sink):
    """Discards every frame, for measurements."""

    name = "nowhere (measuring only)"

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Discards the frame."""


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
    """Opens a video or picture by its file extension, a directory, ``-`` for stdout, a window or nothing.

    Args:
        text: destination: a path, ``-``, an address to push to, ``virtual-camera`` (optionally followed
            by ``:`` and a device), :data:`WINDOW` or :data:`NULL`; ``None`` opens a window, or nothing if
            ``window`` is ``False``.
        info: info of the source.
        say: called with a note about each property of the input that is not kept.
        window: whether a window may be opened by default.
        overwrite: whether existing files may be replaced.
        limit: maximum number of frames to write; ``None`` for all.
        health: health of the stream; ``None`` creates one.
        slider: show a slider between input and result in a window.

    Raises:
        UserError: if the destination cannot be used; :class:`UsageError` if the argument is invalid.
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
        raise UsageError("--output: is empty; use a file, a directory or an address (--help lists them)")
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
            f"--output {mask(text)}: cannot be written to; use an rtsp, rtsps, rtmp or rtmps address"
        )
    if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        return DirectorySink(path, info, say, overwrite=overwrite)
    if path.suffix.lower() in CONTAINERS:
        if info.live:
            return RecordingSink(text, info, say, overwrite=overwrite, health=health)
        if "%" in text:
            say(f"{text}: % stands for the time only when recording a live source; it is kept as it is")
        return VideoSink(text, info, say, overwrite=overwrite)
    if is_picture(path):
        if info.frames != 1 and limit != 1:
            raise UsageError(
                f"--output {text}: is one picture, but the input has several; "
                "use a directory, or --max-frames 1 for the first"
            )
        return PictureSink(path, info, say, overwrite=overwrite)
    raise UsageError(
        f"--output {text}: unsupported file extension {path.suffix}; use one for videos "
        f"({' '.join(CONTAINERS)}), one for pictures ({' '.join(sorted(PICTURE_SUFFIXES))}), or none for a "
        "directory"
    )
