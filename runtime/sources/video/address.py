"""Resolve a command-line argument to an FFmpeg input."""

import os
import sys
from pathlib import Path

from granet.errors import UserError
from runtime.sources.url import STDIN, Address, file_address, is_url, parse_url
from runtime.sources.video.truncation import missing_bytes

_PLAYLIST = b"#EXTM3U"


def address_of(text: str) -> Address:
    """The FFmpeg input for ``text``; checks a file first.

    Raises:
        UserError: if the file is missing, unreadable, empty, truncated or a playlist, or the scheme is not
            supported.
    """
    if text == "-":
        if sys.stdin is not None and os.isatty(0):
            raise UserError("-: stdin is a terminal; pipe a video into it")
        return STDIN
    path = Path(text)
    if not path.exists():
        if is_url(text):
            return parse_url(text)
        raise UserError(f"{text}: no such file or directory")
    if path.is_file():
        _check_file(path)
    return file_address(text)


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(_PLAYLIST))
        missing = missing_bytes(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if size == 0:
        raise UserError(f"{path}: is an empty file")
    if head == _PLAYLIST:
        # FFmpeg would retry its URLs for minutes, although the whitelist forbids them.
        raise UserError(f"{path}: is a playlist; use the address that it came from")
    if missing:
        raise UserError(f"{path}: is truncated: {missing:,} of {missing + size:,} bytes are missing")
