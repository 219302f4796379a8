"""Checks the playlists of an HLS stream before FFmpeg parses them.

FFmpeg follows every playlist that a playlist names: one that names itself, 300 times, takes all memory.
Here a master playlist may name media playlists, and a media playlist may name segments, and nothing else.
FFmpeg gets the bytes that were checked.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from urllib.parse import urljoin, urlsplit

import av

from granet.errors import UserError
from runtime.sources.allowance import Allowance
from runtime.sources.http_limited import end_of_redirects
from runtime.sources.video.wire import Wire

PLAYLIST = b"#EXTM3U"

MOST_VARIANTS = 100
"""Maximum number of playlists that a master playlist names."""

MOST_BYTES = 2**23
"""Maximum size of a playlist: 8 MiB."""

MOST_SEGMENTS = 200_000
"""Maximum number of lines of all playlists of a stream together."""

_MASTER = re.compile(rb"^#EXT-X-(STREAM-INF|MEDIA|I-FRAME-STREAM-INF):", re.MULTILINE)
_URI = re.compile(rb'URI="([^"\r\n]*)"')


class HlsFiles:
    """Opens the files of an HLS stream for FFmpeg.

    Args:
        first: the top playlist, from its start.
        options: options of the protocol.
        timeout: seconds (to open, to read).
        allowance: the limit of the whole input.

    Raises:
        UserError: if a playlist is too large, or names what it may not.
        av.FFmpegError: if the playlist cannot be read.
    """

    def __init__(
        self, first: Wire, options: Mapping[str, str], timeout: tuple[float, float], allowance: Allowance
    ) -> None:
        self._options, self._timeout, self._allowance = dict(options), timeout, allowance
        self._lines: dict[str, int] = {}
        self._targets: dict[str, str] = {}
        self._playlists = {first.name}
        self._top = first.name
        self.top = self._checked(first)

    def __call__(self, url: str, flags: int, options: Mapping[str, str]) -> "Wire | io.BytesIO":
        """Opens a file; one that is missing is empty, because FFmpeg then tries the next one."""
        if self._allowance.failed:
            return io.BytesIO()
        try:
            wire = Wire(url, {**options, **self._options}, self._timeout, self._allowance)
            is_playlist = wire.peek(len(PLAYLIST)) == PLAYLIST
        except (av.ExitError, av.TimeoutError):
            self._allowance.failed = True
            raise
        except (av.FFmpegError, OSError):
            return io.BytesIO()
        if not is_playlist:
            return wire
        try:
            return self._checked(wire)
        except UserError:
            self._allowance.failed = True
            raise

    def _checked(self, wire: Wire) -> io.BytesIO:
        """The content of a playlist, whose addresses are absolute."""
        url = wire.name
        if url not in self._playlists:
            raise UserError("the playlist names another playlist as a segment")
        content = _whole(wire)
        is_master = _MASTER.search(content) is not None
        if is_master and url != self._top:
            raise UserError("a master playlist names another master playlist")
        base, lines = self._target(url), content.splitlines()
        self._lines[url] = len(lines)
        if sum(self._lines.values()) > MOST_SEGMENTS:
            raise UserError(f"its playlists have more than {MOST_SEGMENTS:,} lines")
        absolute = [_absolute(line, base) for line in lines]
        named = list(_named(absolute))
        if is_master:
            self._playlists.update(named)
            if len(self._playlists) > MOST_VARIANTS + 1:
                raise UserError(f"its master playlist names more than {MOST_VARIANTS} playlists")
        elif not self._playlists.isdisjoint(named):
            raise UserError("the playlist names another playlist as a segment")
        file = io.BytesIO(b"\n".join([*absolute, b""]))
        file.name = url
        return file

    def _target(self, url: str) -> str:
        """The address that ``url`` redirects to; relative addresses in the playlist refer to it."""
        if url not in self._targets:
            self._targets[url] = url
            # FFmpeg follows redirections by itself and does not tell where they lead. The request has no
            # credentials; if it fails, the addresses refer to `url`.
            with suppress(OSError, HTTPException, ValueError):
                parts = urlsplit(url)
                plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
                end = end_of_redirects(plain, self._timeout[0])
                if end != plain:
                    self._targets[url] = end
        return self._targets[url]


def _whole(wire: Wire) -> bytes:
    content = b""
    while part := wire.read(2**16):
        content += part
        if len(content) > MOST_BYTES:
            raise UserError(f"has a playlist of more than {MOST_BYTES:,} bytes")
    return content


def _absolute(line: bytes, base: str) -> bytes:
    """A line of a playlist whose address does not depend on where the playlist is."""
    if line.startswith(b"#"):
        return _URI.sub(lambda match: b'URI="' + _joined(match[1], base) + b'"', line)
    return _joined(line.strip(), base) if line.strip() else b""


def _joined(address: bytes, base: str) -> bytes:
    return urljoin(base, address.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _named(lines: list[bytes]) -> Iterator[str]:
    for line in lines:
        for address in _URI.findall(line) if line.startswith(b"#") else [line]:
            if address:
                yield address.decode(errors="surrogateescape")
