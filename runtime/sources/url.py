"""Supported addresses, the environment variables in them, their FFmpeg options and their timeouts."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, quote, unquote, urlsplit

from granet.app.console import Say, UsageError
from granet.app.credentials import conceal, mask
from granet.errors import UserError

TIMEOUT = 10.0
"""Seconds within which a server must respond, and send each further packet."""

SILENCE = 5.0
"""Seconds without a packet after which a live stream is reconnected."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PIPELINE = re.compile("gst:", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\w.-]")
"""Characters that gst-launch-1.0 syntax escapes with a backslash."""

_SPACE = re.compile(r"[\s\x00-\x1f]")

_HTTP = "http,https,tcp,tls,crypto,data,httpproxy"
_RTSP = "rtsp,rtp,tcp,udp"
# Demuxers open the URLs in a playlist. These lists deny playlists access to the disk and other protocols.
_PROTOCOLS = {"http": _HTTP, "https": _HTTP, "rtsp": _RTSP, "rtsps": _RTSP}


class SeekableFile(Protocol):
    """Bytes that FFmpeg reads, and seeks in, through PyAV."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Goes to a place."""

    def tell(self) -> int:
        """The present place."""


@dataclass(frozen=True)
class Address:
    """An input as FFmpeg opens it.

    Attributes:
        target: FFmpeg's URL of the input.
        options: options of the demuxer and the protocol.
        remote: whether it is read over the network, with :data:`TIMEOUT`.
        live: whether frames arrive in real time.
        path: the path of a local file; ``None`` otherwise.
        opener: opens the bytes of a file that FFmpeg cannot open itself; ``None`` otherwise.
    """

    target: str
    options: dict[str, str] = field(default_factory=dict)
    remote: bool = False
    live: bool = False
    path: Path | None = None
    opener: Callable[[], SeekableFile] | None = None


def is_url(text: str) -> bool:
    """Whether ``text`` has a scheme (``file:`` included)."""
    scheme, colon, _ = text.partition(":")
    return bool(colon) and ("://" in text or scheme.lower() in {*_PROTOCOLS, "file"})


def local_path(text: str) -> str:
    """The path that a ``file:`` address names; other text, and a file of that name, is returned unchanged."""
    if text[:5].lower() != "file:" or Path(text).exists():
        return text
    return unquote(urlsplit(text).path) or text


def is_live_scheme(text: str) -> bool:
    """Whether every address with the scheme of ``text`` is live (rtsp and rtsps)."""
    return text.lower().startswith("rtsp")


def split_url(text: str) -> SplitResult:
    """Splits an address into its parts.

    Raises:
        UserError: if it is invalid: an unquoted character, or an invalid host or port.
    """
    if _SPACE.search(text):
        # Show only the scheme: it is unknown where a password with spaces ends.
        raise UserError(f"{text.partition(':')[0]}://***: contains a space; write %20")
    try:
        parts = urlsplit(text)
        before, at, _ = parts.netloc.rpartition("@")
        late = "@" in text.split("://", 1)[-1].removeprefix(before + at)
        if late and (at or ":" in parts.netloc):
            raise UserError(
                f"{mask(text)}: contains an @ after the host; write @ / ? # in a password as %40 %2F %3F %23"
            )
        # Reading the port validates it, as encoding validates a host: sockets refuse an empty label.
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        # If the host or the @ is missing, the "port" may be a password, and the error would show it.
        scheme = text.partition(":")[0]
        raise UserError(
            f"{scheme}://***: is not a valid address; write {scheme}://HOST:PORT/PATH, with an optional "
            "USER:PASSWORD@ before HOST"
        ) from None
    return parts


def parse_url(text: str) -> Address:
    """Parses ``text``, for which :func:`is_url` must hold.

    Raises:
        UserError: if the scheme is not http, https, rtsp, rtsps or file, or the address is invalid.
    """
    scheme = text.partition(":")[0].lower()
    if scheme == "file":
        return file_address(local_path(text))
    if scheme not in _PROTOCOLS:
        raise UserError(f"{scheme}: is not a supported scheme; use http, https, rtsp, rtsps or file")
    if not split_url(text).hostname:
        raise UserError(f"{mask(text)}: has no host; write {scheme}://HOST/PATH")
    # By default FFmpeg analyses 5 s of video, and 90 s of FLV, before it delivers the first frame.
    options = {"protocol_whitelist": _PROTOCOLS[scheme]}
    if scheme.startswith("rtsp"):
        # Over UDP, lost packets smear the picture, and many networks block UDP.
        options["rtsp_transport"] = "tcp"
        options |= {"analyzeduration": "1000000", "fpsprobesize": "0"}
    else:
        # A file without a header, such as MPEG-TS, needs some frames for its rate.
        options |= {"analyzeduration": "500000", "fpsprobesize": "3"}
        # Start a live playlist at its newest segment, not at the third from the end.
        options["live_start_index"] = "-1"
    # FFmpeg knows schemes in lower case only.
    return Address(scheme + text[len(scheme) :], options, remote=True, live=is_live_scheme(scheme))


def expanded(text: str, say: Say, environment: Mapping[str, str] = os.environ) -> str:
    """Replaces every ``${NAME}`` in an address or a pipeline with that environment variable.

    Variables keep passwords out of the public process list; their values are never printed
    (:func:`granet.app.credentials.conceal`). They are URL-quoted in an address, and escaped in a property
    of a pipeline. Other text is returned unchanged.

    Args:
        text: an argument of the command line.
        say: called with a warning if the argument contains a password.
        environment: the environment variables.

    Raises:
        UsageError: if a variable is not set.
        UserError: if the address is invalid.
    """
    in_pipeline = _PIPELINE.match(text) is not None
    if "://" not in text and not in_pipeline:
        return text
    if not in_pipeline and split_url(_VARIABLE.sub("", text)).password:
        say(
            f"{mask(text)}: the password is visible in the process list; write ${{NAME}} instead and set "
            "that environment variable"
        )

    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise UsageError(f"{mask(text)}: environment variable {match[1]} is not set; set it first")
        found = environment[match[1]]
        conceal(found)
        if in_pipeline and "://" not in re.split(r"\s", text[: match.start()])[-1]:
            return _UNSAFE.sub(r"\\\g<0>", found)
        # Bytes, because the environment need not be UTF-8.
        return quote(os.fsencode(found), safe="")

    return _VARIABLE.sub(value, text)


def file_address(path: str) -> Address:
    """The address of a local file. The prefix keeps FFmpeg from parsing a protocol in ``a:b.mp4``."""
    return Address(f"file:{path}", {"protocol_whitelist": "file,crypto,data"}, path=Path(path))


STDIN = Address("pipe:0", {"protocol_whitelist": "pipe"})
