"""Which addresses are opened, how long they may keep us waiting, and how they are shown."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from granet.errors import UserError

TIMEOUT = 10.0
"""Seconds that a server has to answer, and to send the next packet."""

SILENCE = 5.0
"""Seconds without a packet after which a live stream is worth opening again."""

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


def parse_url(text: str) -> Address:
    """The address that ``text``, for which :func:`is_url` holds, stands for.

    Raises:
        UserError: if its scheme is none of http, https, rtsp, rtsps and file.
    """
    scheme = urlsplit(text).scheme.lower()
    if scheme == "file":
        return file_address(unquote(urlsplit(text).path))
    if scheme not in _PROTOCOLS:
        raise UserError(f"{scheme}: addresses are not read; http, https, rtsp, rtsps and file are")
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


def file_address(path: str) -> Address:
    """A file. The prefix keeps FFmpeg from reading protocols into names like ``a:b.mp4``."""
    return Address(f"file:{path}", {"protocol_whitelist": "file,crypto,data"}, path=Path(path))


STDIN = Address("pipe:0", {"protocol_whitelist": "pipe"})
