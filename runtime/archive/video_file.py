"""Open the videos of an archive: recordings, and segments that another machine may have written."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from av.container import InputContainer

from granet.app.console import Say
from granet.app.input_file import open_regular
from granet.errors import UserError
from runtime.archive.storage.place import stored
from runtime.sources.url import Address, file_address
from runtime.sources.video.container import open_input
from runtime.sources.video.source import VideoSource
from runtime.sources.video.span import Span


def open_video(video: Path | Address) -> InputContainer:
    """Opens a video for reading, as every other input is.

    Raises:
        av.FFmpegError: if it is not a video.
        UserError: if its frames are too large.
    """
    address = video if isinstance(video, Address) else file_address(str(video))
    return open_input(address, None).container


def read_video(video: Path | Address, say: Say, span: Span | None = None) -> VideoSource:
    """The frames of a video, or of a part of it.

    Raises:
        UserError: as :class:`runtime.sources.video.source.VideoSource`.
    """
    address = video if isinstance(video, Address) else None
    return VideoSource(name_of(video), say, span=span, address=address)


@contextmanager
def read_recording(path: str, say: Say, span: Span | None = None) -> Iterator[VideoSource]:
    """The frames of a planned recording, or of a part of it, wherever it is stored.

    Args:
        path: of the recording, or its address.
        say: called with notes about it.
        span: the part.

    Raises:
        UserError: as :func:`read_video`, or if its storage is away.
    """
    with stored(path).video() as video, read_video(video, say, span) as source:
        yield source


@contextmanager
def open_recording(path: str) -> Iterator[InputContainer]:
    """The container of a planned recording, wherever it is stored.

    Args:
        path: of the recording, or its address.

    Raises:
        av.FFmpegError: if it is not a video.
        UserError: if its frames are too large, or its storage is away.
    """
    with stored(path).video() as video, open_video(video) as container:
        yield container


def digest_of(path: Path) -> str:
    """SHA-256 of the video of a segment, hexadecimal; it may be larger than the memory.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def name_of(video: Path | Address) -> str:
    """The path of a video, or its address, for messages."""
    if isinstance(video, Address):
        return video.target if video.path is None else str(video.path)
    return str(video)
