"""The encoder of a video that is written, as ``--codec``, ``--crf`` and their like ask."""

import io
import re
from dataclasses import dataclass, replace

import av

from granet.app.console import Say, UsageError
from granet.errors import UserError
from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.encoders import ENCODERS, SOFTWARE, Encoder
from runtime.sinks.video.pixel_formats import PIXEL_FORMATS, canonical, chroma_for, require_fit
from runtime.sources.base import StreamInfo

AUTO = "auto"
"""The codec of the input if it can be encoded here, else that of the container."""

COPY_CODEC = "copy-codec"
"""The codec of the input; the frames are new, so they are encoded in any case."""

CODECS = (AUTO, *SOFTWARE, COPY_CODEC, *(name for name, each in ENCODERS.items() if each.hardware))

_ELSEWHERE = {
    "h264": ("h264", "h.264", "x264", "libx264", "avc", "avc1"),
    "hevc": ("hevc", "h265", "h.265", "x265", "libx265", "hvc1"),
    "av1": ("av1", "libsvtav1", "libaom-av1", "svtav1", "av01"),
    "vp9": ("vp9", "libvpx-vp9", "libvpx", "vp09"),
    "h264_nvenc": ("nvenc", "h264_cuda"),
    COPY_CODEC: ("same", "source", "input"),
}
"""Our name of a codec -> its names elsewhere."""

_BITRATE = re.compile(r"[1-9]\d*(?:\.\d+)?[kM]?")

_LEAST, _MOST = 1_000, 2_000_000_000
"""Bits per second that every encoder takes."""


@dataclass(frozen=True)
class Encoding:
    """How a video is encoded.

    Attributes:
        codec: one of :data:`CODECS`; empty for the default of the container.
        crf: constant rate factor; ``None`` for the default.
        preset: preset of the encoder; empty for the default.
        bitrate: bits per second, such as ``4M``; empty for a constant quality.
        pix_fmt: one of :data:`runtime.sinks.video.pixel_formats.PIXEL_FORMATS`; empty for the subsampling of
            the input in 8 bits, which is what the network computes.
    """

    codec: str = ""
    crf: int | None = None
    preset: str = ""
    bitrate: str = ""
    pix_fmt: str = ""

    def __post_init__(self) -> None:
        """Checks what needs no input.

        Raises:
            UsageError: for an unknown codec or pixel format, or options that contradict each other.
        """
        for option, given in (("--crf", self.crf is not None), ("--preset", bool(self.preset))):
            if given and self.codec in (COPY_CODEC, "copy"):
                raise UsageError(
                    f"{option} with --codec {self.codec}: name the codec, its scale depends on it"
                )
        if self.codec == "copy":
            raise UsageError(
                f"--codec copy: frames without rain are new, so they are encoded: use {COPY_CODEC} for the "
                "codec of the input"
            )
        if self.codec and self.codec not in CODECS:
            named = next((ours for ours, names in _ELSEWHERE.items() if self.codec.lower() in names), None)
            meant = f"did you mean {named}?" if named else f"use one of {', '.join(CODECS)}"
            raise UsageError(f"--codec {self.codec}: {meant}")
        if self.bitrate and not _BITRATE.fullmatch(self.bitrate):
            raise UsageError(f"--bitrate {self.bitrate}: give bits per second, like 4M or 800k")
        if self.bitrate and not _LEAST <= _bits(self.bitrate) <= _MOST:
            raise UsageError(f"--bitrate {self.bitrate}: give 1k to 2000M bits per second")
        if self.crf is not None and self.crf < 0:
            raise UsageError(f"--crf {self.crf}: give 0 or more")
        if self.crf is not None and self.bitrate:
            raise UsageError("--crf with --bitrate: each sets the quality; give one of them")
        if self.pix_fmt and canonical(self.pix_fmt) is None:
            raise UsageError(f"--pix-fmt {self.pix_fmt}: use one of {', '.join(PIXEL_FORMATS)}")

    def applied_to(
        self, kind: VideoContainer, info: StreamInfo, name: str, say: Say, *, here: bool = True
    ) -> VideoContainer:
        """The settings of ``kind`` with this encoding.

        Args:
            kind: container with its default encoder.
            info: info of the source.
            name: display name of the output.
            say: called with a note if the codec of the input cannot be kept.
            here: whether this machine encodes, and must have the hardware of the encoder.

        Raises:
            UserError: if this build lacks the encoder, the container cannot hold the codec, the encoder
                has no such option or pixel format, or its hardware is missing.
        """
        encoder = self._encoder(kind, info, name, say)
        if self.preset and not encoder.has_presets:
            raise UsageError(f"--preset with {encoder.name}: it has none; leave the option out")
        if self.preset and encoder.presets and self.preset not in encoder.presets:
            raise UsageError(f"--preset {self.preset}: {encoder.name} takes {', '.join(encoder.presets)}")
        if encoder.name != kind.encoder:
            _require(encoder, kind, name, here=here)
        defaults = encoder.live if kind.live else encoder.options
        options = dict(kind.encoder_options if encoder.name == kind.encoder else defaults)
        self._set_quality(encoder, options)
        if self.preset:
            options |= {"preset": self.preset}
        return replace(
            kind, encoder=encoder.name, encoder_options=options, pix_fmt=self._pix_fmt(encoder, info, name)
        )

    def require_here(self) -> None:
        """Checks that this machine has the encoder that is named.

        Raises:
            UserError: if it has not.
        """
        if self._names_codec:
            _require_here(self._named(), f"--codec {self.codec}")

    def is_met_by(self, codec: str, pix_fmt: str) -> bool:
        """Whether a video is as this encoding asks, so that it can be copied; a copy has its own quality.

        Args:
            codec: FFmpeg's name of the codec of the video.
            pix_fmt: FFmpeg's name of its pixel format.
        """
        if self._names_codec and codec != self._named().codec:
            return False
        return canonical(self.pix_fmt) in (None, pix_fmt.replace("yuvj", "yuv"))

    @property
    def _names_codec(self) -> bool:
        return self.codec not in ("", AUTO, COPY_CODEC)

    def _named(self) -> Encoder:
        return SOFTWARE.get(self.codec) or ENCODERS[self.codec]

    def _set_quality(self, encoder: Encoder, options: dict[str, str]) -> None:
        if self.crf is not None:
            if encoder.highest_crf is None:
                raise UsageError(f"--crf with --codec {self.codec}: {encoder.name} has none; give --bitrate")
            if self.crf > encoder.highest_crf:
                raise UsageError(f"--crf {self.crf}: {encoder.name} takes 0 to {encoder.highest_crf}")
            for limit in ("maxrate", "bufsize", "b"):
                options.pop(limit, None)
            options |= {"crf": str(self.crf)} | ({"b": "0"} if encoder.name == "libvpx-vp9" else {})
        if self.bitrate:
            options.pop("crf", None)
            options |= {"b": self.bitrate}
            if "svtav1-params" in options:  # without delay SVT-AV1 has only one control of the rate
                options["svtav1-params"] += ":rc=2"
            if "maxrate" in options:
                options |= {"maxrate": self.bitrate, "bufsize": self.bitrate}

    def _pix_fmt(self, encoder: Encoder, info: StreamInfo, name: str) -> str:
        wanted = canonical(self.pix_fmt) or ""
        formats = encoder.formats() if encoder.is_here else ()
        if wanted and formats and wanted not in formats:
            takes = ", ".join(each for each in formats if each in PIXEL_FORMATS)
            raise UserError(f"{name}: {encoder.name} cannot encode --pix-fmt {wanted}; it takes {takes}")
        if wanted and info.size is not None:
            require_fit(wanted, info.size, name)
        return wanted

    def _encoder(self, kind: VideoContainer, info: StreamInfo, name: str, say: Say) -> Encoder:
        if not self.codec or (self.codec == AUTO and kind.live):
            return ENCODERS[kind.encoder]
        if self.codec == AUTO:
            return _automatic(kind, info, self.pix_fmt, name, say)
        if self.codec != COPY_CODEC:
            return self._named()
        if info.codec not in SOFTWARE:
            what = f"the codec of the input is {info.codec}" if info.codec else "pictures have no codec"
            raise UserError(f"{name}: --codec {COPY_CODEC}: {what}; use one of {', '.join(SOFTWARE)}")
        return SOFTWARE[info.codec]


DEFAULT = Encoding()


def _bits(rate: str) -> float:
    unit = {"k": 1e3, "M": 1e6}.get(rate[-1], 1.0)
    return float(rate.rstrip("kM")) * unit


def _automatic(kind: VideoContainer, info: StreamInfo, pix_fmt: str, name: str, say: Say) -> Encoder:
    """The encoder for the codec of the input, or that of the container with a note on the reason."""
    default, same = ENCODERS[kind.encoder], SOFTWARE.get(info.codec)
    if not info.codec or same is default:
        return default
    if same is None or not same.is_here:
        why = "cannot be encoded here"
    elif not kind.keeps_time or not _holds(kind, same.codec):
        why = "does not fit this format"
    elif not pix_fmt and same.layout_of(chroma := chroma_for(info.chroma, info.size)) is None:
        why = f"is not encoded as {chroma} here"
    else:
        return same
    say(f"{name}: the codec of the input ({info.codec}) {why}; writing {default.codec}")
    return default


_REFUSED = {("mov", "vp9"), ("mov", "av1")}
"""What FFmpeg lists for a format and does not write in it: QuickTime has no definition of it."""


def _holds(kind: VideoContainer, codec: str) -> bool:
    if (kind.format, codec) in _REFUSED:
        return False
    with av.open(io.BytesIO(), "w", format=kind.format) as container:
        return codec in container.supported_codecs


def _require(encoder: Encoder, kind: VideoContainer, name: str, *, here: bool) -> None:
    """Refuses an encoder before anything is written.

    Raises:
        UserError: see :meth:`Encoding.applied_to`.
    """
    if not _holds(kind, encoder.codec):
        raise UserError(f"{name}: this format cannot hold {encoder.codec}; write .mkv or .mp4")
    if here:
        _require_here(encoder, name)


def _require_here(encoder: Encoder, name: str) -> None:
    """Opens an encoder that needs hardware once, on a frame of its own."""
    if not encoder.is_here:
        raise UserError(f"{name}: this FFmpeg has no encoder {encoder.name}; choose another --codec")
    if not encoder.hardware:
        return
    context = av.CodecContext.create(encoder.name, "w")
    context.width, context.height, context.pix_fmt = 640, 480, "nv12"  # type: ignore[attr-defined]
    context.framerate = 25  # type: ignore[attr-defined]
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise UserError(
            f"{name}: {encoder.name} needs hardware or a driver that this machine lacks; choose another "
            "--codec"
        ) from error
