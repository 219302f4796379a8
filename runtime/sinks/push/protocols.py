"""The protocols that a video can be pushed over."""

from dataclasses import dataclass, field
from urllib.parse import unquote

from runtime.media.ports import DEFAULT_PORTS


@dataclass(frozen=True)
class Protocol:
    """A protocol of FFmpeg.

    Attributes:
        muxer: FFmpeg's name of its muxer.
        scheme: of the address that the muxer takes.
        codecs: FFmpeg's names of the codecs that servers and players know.
        options: of the muxer.
        encoder_options: what libx264 needs for it.
    """

    muxer: str
    scheme: str
    codecs: tuple[str, ...] = ("h264", "hevc")
    options: dict[str, str] = field(default_factory=dict)
    encoder_options: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The port of an address that names none."""
        return DEFAULT_PORTS[self.scheme]

    @property
    def has_certificate(self) -> bool:
        """Whether this side needs a certificate too."""
        return self.muxer == "whip"


_RTSP = {"rtsp_transport": "tcp"}
_FLV = {"flvflags": "no_duration_filesize"}
_BASELINE = {"profile": "baseline"}
"""The profile of H.264 that every browser plays (RFC 7742, section 5)."""

PROTOCOLS = {
    "rtsp": Protocol("rtsp", "rtsp", options=_RTSP),
    "rtsps": Protocol("rtsp", "rtsps", options=_RTSP),
    "rtmp": Protocol("flv", "rtmp", options=_FLV),
    "rtmps": Protocol("flv", "rtmps", options=_FLV),
    "whip": Protocol("whip", "http", ("h264",), encoder_options=_BASELINE),
    "whips": Protocol("whip", "https", ("h264",), encoder_options=_BASELINE),
}
"""Scheme of the address that the user gives -> protocol; WHIP is WebRTC ingestion (RFC 9725)."""


@dataclass(frozen=True)
class Target:
    """A server to push to.

    Attributes:
        protocol: its protocol.
        url: the address that FFmpeg takes.
        token: for the authorisation of WHIP; empty for none.
    """

    protocol: Protocol
    url: str
    token: str = ""

    @staticmethod
    def of(text: str) -> "Target":
        """Reads an address; a password in one of WHIP is its token: ``whips://:TOKEN@HOST/PATH``."""
        scheme, _, place = text.partition("://")  # FFmpeg knows schemes in lower case only
        protocol, token = PROTOCOLS[scheme.lower()], ""
        if protocol.muxer == "whip" and "@" in place.partition("/")[0]:
            credentials, _, place = place.partition("@")
            token = unquote(credentials.partition(":")[2])
        return Target(protocol, f"{protocol.scheme}://{place}", token)

    @property
    def options(self) -> dict[str, str]:
        """Options of the muxer."""
        return {**self.protocol.options, **({"authorization": self.token} if self.token else {})}


def is_push(text: str) -> bool:
    """Whether ``text`` is an address that supports pushing."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() in PROTOCOLS
