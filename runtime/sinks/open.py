"""Open the sink that a command-line argument names."""

import os
import sys
import time
from pathlib import Path

from granet.app.console import Say, UsageError
from granet.app.credentials import mask
from granet.app.results import ClosedStdout
from granet.data.image_files import PICTURE_SUFFIXES, is_picture
from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.pictures.directory import DirectorySink
from runtime.sinks.pictures.single import PictureSink
from runtime.sinks.push.protocols import PROTOCOLS, is_push
from runtime.sinks.push.sink import PushSink
from runtime.sinks.video.containers import CONTAINERS
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sinks.video.recording import RecordingSink
from runtime.sinks.video.sink import STDOUT, VideoSink
from runtime.sinks.virtual_camera import VIRTUAL_CAMERA, VirtualCameraSink
from runtime.sinks.window import WindowSink
from runtime.sources.base import StreamInfo
from runtime.sources.url import is_url, split_url
from runtime.telemetry.health import Health

WINDOW, NULL = "window", "null"
"""Reserved destinations; write ``./window`` for a directory of that name."""

_SOME_TIME = time.struct_time((1987, 11, 29, 20, 43, 58, 6, 333, 0))
"""No two of its fields are equal."""


def is_written_to_disk(text: str) -> bool:
    """Whether a destination of :func:`open_sink` is a file or a directory."""
    if text in (WINDOW, NULL, STDOUT) or is_push(text):
        return False
    return text.partition(":")[0] != VIRTUAL_CAMERA


def is_encoded(text: str) -> bool:
    """Whether a destination of :func:`open_sink` is a video that is encoded: a file, stdout, or a push."""
    is_file = is_written_to_disk(text) and Path(text).suffix.lower() in CONTAINERS
    return text == STDOUT or is_push(text) or is_file


def place_of(text: str) -> str:
    """The same text for every name of a destination: of two sinks for one place the last would win.

    Of a pattern for the local time it is the place at one fixed time, because two patterns of one file may
    be written differently.
    """
    if is_push(text):
        try:
            parts = split_url(text)
        except UserError:
            # It may become an address when its variables are replaced.
            return text
        port = parts.port or PROTOCOLS[parts.scheme.lower()].port
        return f"{parts.scheme.lower()}://{parts.hostname}:{port}{parts.path}?{parts.query}"
    if not is_written_to_disk(text):
        return text
    return os.path.realpath(time.strftime(text, _SOME_TIME) if "%" in text else text)


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
    encoding: Encoding = DEFAULT,
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
        encoding: encoding of a video file, of Matroska on stdout, or of a pushed video.

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
        if sys.stdout is None or isinstance(sys.stdout, ClosedStdout):
            raise UsageError("--output -: stdout is closed; redirect it to a file or a program")
        if os.isatty(1):
            raise UsageError("--output -: stdout is a terminal; redirect it to a file or a program")
        return VideoSink(text, info, say, overwrite=overwrite, encoding=encoding)
    if not text:
        raise UsageError("--output: is empty; use a file, a directory or an address (--help lists them)")
    if is_push(text):
        if not split_url(text).hostname:
            raise UsageError(
                f"--output {mask(text)}: has no host; write rtsp://HOST/PATH, rtmp://HOST/APP/KEY or "
                "whip://HOST/PATH"
            )
        return PushSink(text, info, say, health=health, encoding=encoding)
    kind, _, device = text.partition(":")
    if kind == VIRTUAL_CAMERA:
        return VirtualCameraSink(device or None, info, health)
    return _open_path(text, info, say, health, overwrite=overwrite, limit=limit, encoding=encoding)


def _open_path(
    text: str,
    info: StreamInfo,
    say: Say,
    health: Health,
    *,
    overwrite: bool,
    limit: int | None,
    encoding: Encoding,
) -> Sink:
    path = Path(text)
    if is_url(text) and not path.exists():
        raise UsageError(
            f"--output {mask(text)}: cannot be written to; use an address with {', '.join(PROTOCOLS)}"
        )
    if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        return DirectorySink(path, info, say, overwrite=overwrite)
    if path.suffix.lower() in CONTAINERS:
        if info.live:
            return RecordingSink(text, info, say, overwrite=overwrite, health=health, encoding=encoding)
        if "%" in text:
            say(f"{text}: % stands for the time only when recording a live source; it is kept as it is")
        return VideoSink(text, info, say, overwrite=overwrite, encoding=encoding)
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
