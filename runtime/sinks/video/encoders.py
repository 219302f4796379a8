"""The video encoders: their codec, their settings for files and for live video, and what they take."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import av
import cv2
from av.codec.codec import UnknownCodecError

from runtime.sources.base import Chroma

# SVT-AV1 writes its settings to stderr, past FFmpeg. Its errors arrive as exceptions.
os.environ.setdefault("SVT_LOG", "0")

_REAL_TIME = {"g": "60"}
"""At more than 30 frames per second key frames are no further apart than 60; see also KEY_SECONDS."""

_FORCED = {"forced-idr": "1", **_REAL_TIME}
"""A picture that the muxer makes a key frame is one that a viewer can begin with."""


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name.
        codec: FFmpeg's name of its codec.
        options: for a file: visually lossless, on a few cores.
        live: for a live source: none of its frames is held back.
        highest_crf: highest constant rate factor; ``None`` if it has none.
        has_presets: whether it has the option ``preset``.
        presets: names of its presets; empty if they are not known here.
        hardware: whether it needs hardware or a driver.
        least_with_bitrate: least side of a frame, in pixels, with which it keeps a bit rate.
    """

    name: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=lambda: dict(_REAL_TIME))
    highest_crf: int | None = None
    has_presets: bool = True
    presets: tuple[str, ...] = ()
    hardware: bool = False
    least_with_bitrate: int = 0

    @property
    def is_here(self) -> bool:
        """Whether this FFmpeg has it."""
        try:
            av.Codec(self.name, "w")
        except UnknownCodecError:
            return False
        return True

    def formats(self) -> tuple[str, ...]:
        """The pixel formats that it takes; empty if it does not say."""
        return tuple(each.name for each in av.Codec(self.name, "w").video_formats or ())

    def layout_of(self, chroma: Chroma) -> str | None:
        """A pixel format that it takes with this subsampling and 8 bits; ``None`` if there is none."""
        formats = self.formats()
        if not formats or chroma in formats:
            return chroma
        return "nv12" if chroma == "yuv420p" and "nv12" in formats else None


_AVX_512F = 13
"""OpenCV's number of these instructions."""


def _repeatable() -> dict[str, str]:
    """Keeps x264 from its AVX-512 code, with which the same frames become another file now and then.

    Seen with x264 165, B frames and the macroblock tree, in one thread too; it may read memory that nobody
    has written. The AVX2 code is as fast and always writes the same. A CPU with AVX-512 has AVX2.
    """
    return {"x264-params": "asm=avx2"} if cv2.checkHardwareSupport(_AVX_512F) else {}


# 62 core-milliseconds per frame of 1080p.
_X264 = {"crf": "17", "preset": "veryfast", **_repeatable()}
_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
"""Presets of x264 and x265."""

_QUIET_X265 = {"x265-params": "log-level=error"}
_X265 = {"x265-params": "log-level=error:b-intra=1"}
"""Without blocks of their own, B frames of 10 bits have the wrong brightness after a jump (PyAV 18)."""
_VP9 = {"deadline": "good", "cpu-used": "5", "row-mt": "1"}
_VP9_LIVE = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "row-mt": "1"}

ENCODERS = {
    each.name: each
    for each in (
        Encoder("libx264", "h264", _X264, {**_X264, "tune": "zerolatency", **_FORCED}, 51, presets=_PRESETS),
        Encoder(
            "libx265",
            "hevc",
            {"crf": "19", "preset": "veryfast", **_X265},
            {"crf": "19", "preset": "ultrafast", "tune": "zerolatency", **_QUIET_X265, **_FORCED},
            51,
            presets=_PRESETS,
        ),
        Encoder(
            "libsvtav1",
            "av1",
            {"crf": "24", "preset": "9"},
            {"crf": "28", "preset": "11", "svtav1-params": "pred-struct=1:rtc=1", **_REAL_TIME},
            63,
            presets=tuple(map(str, range(14))),
            least_with_bitrate=64,
        ),
        Encoder(
            "libvpx-vp9",
            "vp9",
            {"crf": "24", "b": "0", **_VP9},
            {"b": "2M", **_VP9_LIVE, **_REAL_TIME},
            63,
            has_presets=False,
        ),
        Encoder("h264_nvenc", "h264", live={"bf": "0", "zerolatency": "1", **_FORCED}, hardware=True),
        Encoder("hevc_nvenc", "hevc", live={"bf": "0", "zerolatency": "1", **_FORCED}, hardware=True),
        Encoder("h264_qsv", "h264", live={"bf": "0", "async_depth": "1", **_REAL_TIME}, hardware=True),
        Encoder("h264_vaapi", "h264", live={"bf": "0", **_REAL_TIME}, has_presets=False, hardware=True),
        Encoder("h264_v4l2m2m", "h264", has_presets=False, hardware=True),
    )
}
"""Name -> encoder."""

SOFTWARE = {each.codec: each for each in ENCODERS.values() if not each.hardware}
"""Codec -> the encoder that runs everywhere."""


def hdr_options(encoder: str, options: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, str]:
    """The options of an encoder with the static HDR metadata, which some encoders write.

    Args:
        encoder: its name.
        options: so far.
        parameters: see :attr:`runtime.media.hdr_metadata.HdrMetadata.parameters`.
    """
    merged = dict(options)
    if parameters.get(encoder):
        name = f"{encoder.removeprefix('lib')}-params"
        merged[name] = ":".join(filter(None, (merged.get(name, ""), parameters[encoder])))
    return merged
