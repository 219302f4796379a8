"""Which addresses are opened, how long they may keep us waiting, and how they are shown."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from granet.app.console import Say, UsageError
from granet.app.credentials import mask
from granet.errors import UserError

TIMEOUT = 10.0
"""Seconds that a server has to answer, and to send the next packet."""

SILENCE = 5.0
"""Seconds without a packet after which a live stream is worth opening again."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SPACE = re.compile(r"[\s\x00-\x1f]")

_HTTP = "http,https,tcp,tls,crypto,data,httpproxy"
_RTSP = "rtsp,rtp,srtp,tcp,udp,tls"
# Demuxers open what a playlist names. The lists keep a playlist off the disk and off other protocols.
_PROTOCOLS = {"http": _HTTP, "https": _HTTP, "rtsp": _RTSP, "rtsps": _RTSP}


@dataclass(frozen=True)
class Address:
    """What FFmpeg is to open.

    Attributes:
        target: FFmpeg's name of it.
        options: of the demuxer and the protocol.
        remote: over the network, with :data:`TIMEOUT`.
        live: frames come at their own pace.
        path: the file, if it is one.
    """

    target: str
    options: dict[str, str] = field(default_factory=dict)
    remote: bool = False
    live: bool = False
    path: Path | None = None


def is_url(text: str) -> bool:
    """Whether ``text`` has a scheme (``file:`` included)."""
    scheme, colon, _ = text.partition(":")
    return bool(colon) and ("://" in text or scheme.lower() in {*_PROTOCOLS, "file"})


def split_url(text: str) -> SplitResult:
    """The parts of an address.

    Raises:
        UserError: if it cannot be right: a character that has to be quoted, no port that there is.
    """
    if _SPACE.search(text):
        # Nothing more of it is shown: where a password with spaces ends cannot be told.
        raise UserError(f"{text.partition(':')[0]}://***: has a space in it; write %20")
    try:
        parts = urlsplit(text)
        before, at, _ = parts.netloc.rpartition("@")
        late = "@" in text.split("://", 1)[-1].removeprefix(before + at)
        if late and (at or ":" in parts.netloc):
            raise UserError(
                f"{mask(text)}: has an @ after its host; write it as %40, and / ? # in a password as %2F %3F "
                "%23"
            )
        # Looked at only to see whether it is one.
        _ = parts.port
    except ValueError:
        # Where the host or the @ was forgotten, the "port" is a password, which the error says.
        scheme = text.partition(":")[0]
        raise UserError(
            f"{scheme}://***: is no address; write {scheme}://HOST:PORT/PATH, with USER:PASSWORD@ before "
            "HOST if need be"
        ) from None
    return parts


def parse_url(text: str) -> Address:
    """The address that ``text``, for which :func:`is_url` holds, stands for.

    Raises:
        UserError: if its scheme is none of http, https, rtsp, rtsps and file; if it cannot be right.
    """
    scheme = text.partition(":")[0].lower()
    if scheme == "file":
        return file_address(unquote(urlsplit(text).path))
    if scheme not in _PROTOCOLS:
        raise UserError(f"{scheme}: addresses are not read; http, https, rtsp, rtsps and file are")
    if not split_url(text).hostname:
        raise UserError(f"{mask(text)}: names no host")
    options = {"protocol_whitelist": _PROTOCOLS[scheme]}
    if scheme.startswith("rtsp"):
        # Over UDP, lost packets smear the picture, and many networks let none through.
        options["rtsp_transport"] = "tcp"
        # FFmpeg would look at up to 5 s of video before it gives any.
        options |= {"analyzeduration": "1000000", "fpsprobesize": "0"}
    else:
        # Of a live playlist: begins with its newest segment, not with the third from the end.
        options["live_start_index"] = "-1"
    return Address(text, options, remote=True, live=scheme.startswith("rtsp"))


def expanded(text: str, say: Say, environment: Mapping[str, str] = os.environ) -> str:
    """An address with every ``${NAME}`` replaced by that variable of the environment, as URLs quote it.

    What is no address is left as it is. The command line, and a password in it, can be read by every user
    of the machine.

    Args:
        text: of the command line.
        say: is told of a password that everyone can see.
        environment: where the variables are.

    Raises:
        UsageError: if there is no such variable.
        UserError: if it cannot be an address.
    """
    if "://" not in text:
        return text
    if split_url(_VARIABLE.sub("", text)).password:
        say(
            f"{mask(text)}: its password is in the list of processes; write ${{NAME}} in its place and set "
            "that variable of the environment"
        )

    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise UsageError(f"{mask(text)}: there is no variable {match[1]} in the environment")
        return quote(environment[match[1]], safe="")

    return _VARIABLE.sub(value, text)


def file_address(path: str) -> Address:
    """A file. The prefix keeps FFmpeg from reading protocols into names like ``a:b.mp4``."""
    return Address(f"file:{path}", {"protocol_whitelist": "file,crypto,data"}, path=Path(path))


STDIN = Address("pipe:0", {"protocol_whitelist": "pipe"})
