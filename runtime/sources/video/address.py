"""What FFmpeg is told to open for a text of the command line."""

import os
import sys
from pathlib import Path

from granet.errors import UserError
from runtime.sources.url import STDIN, Address, file_address, is_url, parse_url
from runtime.sources.video.truncation import missing_bytes

_PLAYLIST = b"#EXTM3U"


def address_of(text: str) -> Address:
    """What ``text`` stands for; a file is looked at first.

    Raises:
        UserError: if it is missing, a directory, empty or cut short; if the scheme is not read.
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
        # FFmpeg would try for minutes to reach what it names, which the whitelist forbids.
        raise UserError(f"{path}: is a playlist; give the address that it came from")
    if missing:
        raise UserError(f"{path}: is cut short: {missing:,} of {missing + size:,} bytes are missing")
