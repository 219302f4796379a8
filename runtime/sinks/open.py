"""Which sink a text of the command line means."""

import os
import sys
from pathlib import Path

from granet.console import UsageError
from runtime.sinks.base import Sink
from runtime.sinks.containers import CONTAINERS
from runtime.sinks.directory import DirectorySink
from runtime.sinks.null import NullSink
from runtime.sinks.picture import PictureSink
from runtime.sinks.video import STDOUT, VideoSink
from runtime.sinks.window import WindowSink
from runtime.sources.base import Say, StreamInfo
from runtime.sources.picture_file import SUFFIXES, is_picture
from runtime.sources.url import is_url


def open_sink(
    text: str | None, info: StreamInfo, say: Say, *, window: bool, overwrite: bool, limit: int | None
) -> Sink:
    """A video file or a picture by its ending, a directory, ``-`` for stdout; a window or nothing.

    Args:
        text: the destination; ``None`` for a window, or for nothing if there shall be no window.
        info: of the source.
        say: is told what is not kept.
        window: whether there may be a window.
        overwrite: whether files that exist may be replaced.
        limit: most frames that are written; ``None`` for all.

    Raises:
        UserError: if the destination is refused; a :class:`UsageError` if it can never be right.
    """
    if text is None:
        return WindowSink(info) if window else NullSink()
    if text == STDOUT:
        if os.isatty(1) or sys.stdout is None:
            raise UsageError("--output -: stdout is a terminal; redirect it to a file or a program")
        return VideoSink(text, info, say, overwrite=overwrite)
    path = Path(text)
    if is_url(text) and not path.exists():
        raise UsageError(f"--output {text}: is an address; only files, directories and - are written")
    if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        return DirectorySink(path, info, say, overwrite=overwrite)
    if path.suffix.lower() in CONTAINERS:
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
        f"pictures: {' '.join(sorted(SUFFIXES))}; a directory has none)"
    )
