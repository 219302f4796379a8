"""Resolve a command-line argument to an FFmpeg input."""

import os
import re
import sys
from pathlib import Path

from granet.app.input_file import open_regular, other_kind
from granet.errors import UserError
from runtime.sources.url import STDIN, Address, file_address, is_url, parse_url
from runtime.sources.video.hls import PLAYLIST

_NUMBERED = re.compile(r"%\d*d")
"""FFmpeg's pattern of numbered pictures."""


def address_of(text: str) -> Address:
    """The FFmpeg input for ``text``; checks a file first.

    Raises:
        UserError: if the file is missing, unreadable, empty or a playlist, or the scheme is not supported.
    """
    if text == "-":
        if sys.stdin is None:
            raise UserError("-: stdin is closed; pipe a video into it")
        if os.isatty(0):
            raise UserError("-: stdin is a terminal; pipe a video into it")
        return STDIN
    path = Path(text)
    if not path.exists():
        if is_url(text):
            return parse_url(text)
        raise UserError(f"{text}: no such file or directory{_meant(text)}")
    kind = other_kind(path)
    if kind is None:
        _check_file(path)
    elif kind != "a named pipe":
        hint = f"--camera {text}" if text.startswith("/dev/video") else "a video, or - for stdin"
        raise UserError(f"{text}: is {kind}, not a file: use {hint}")
    return file_address(text)


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        with open_regular(path) as file:
            head = file.read(len(PLAYLIST))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if size == 0:
        raise UserError(f"{path}: is an empty file")
    if head == PLAYLIST:
        # FFmpeg would retry its URLs for minutes, although the whitelist forbids them.
        raise UserError(f"{path}: is a playlist; use the address that it came from")


def _meant(text: str) -> str:
    """What a name that does not exist means in other programs, and how it is written here."""
    if text.isdecimal() or text.startswith("/dev/video"):
        return f"; a camera is --camera {text}"
    if _NUMBERED.search(text):
        return f"; pictures with numbers are '{_NUMBERED.sub('*', text)}'"
    return ""
