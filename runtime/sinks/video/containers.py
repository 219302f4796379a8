"""Container, encoder and their settings for each video file extension."""

from dataclasses import dataclass, field, replace

from granet.errors import UserError
from runtime.sinks.video.encoders import ENCODERS

# One fragment per second, so that a killed run loses at most its last second; a finished file is an ordinary
# MP4. The delayed header contains the start time and the encoder delay of the sound.
_MP4 = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000", "flush_packets": "1"}
_FRAGMENTS = {"movflags", "frag_duration"}
_MATROSKA = {"cluster_time_limit": "1000", "flush_packets": "1"}

# A killed live recording may lose at most its last second. A cluster or fragment is written when the next one
# begins, hence half a second each; the muxer must not wait for sound.
_LIVE = {"max_interleave_delta": "300000", "avoid_negative_ts": "make_zero"}
# Write the header at once: otherwise it would wait for sound that may never arrive.
_LIVE_LIMITS = {
    "movflags": "hybrid_fragmented+empty_moov",
    "frag_duration": "400000",
    "cluster_time_limit": "400",
}


@dataclass(frozen=True)
class VideoContainer:
    """A video file format and its settings.

    Attributes:
        format: FFmpeg's name of the muxer.
        encoder: FFmpeg's name of the video encoder.
        encoder_options: options of the encoder.
        muxer_options: options of the muxer.
        keeps_time: whether it stores timestamps; ``False`` if it has only a frame rate.
        live: whether it is for a live source.
        pix_fmt: FFmpeg's name of the pixel format to encode; empty for the subsampling of the input.
    """

    format: str
    encoder: str = "libx264"
    encoder_options: dict[str, str] = field(default_factory=lambda: dict(ENCODERS["libx264"].options))
    muxer_options: dict[str, str] = field(default_factory=dict)
    keeps_time: bool = True
    live: bool = False
    pix_fmt: str = ""

    def for_live(self) -> "VideoContainer":
        """The same format for a live source, such that a killed run loses at most one second.

        Raises:
            UserError: if the format has no timestamps.
        """
        if not self.keeps_time:
            raise UserError(
                f"{self.format} has no timestamps, which a live source needs: record .mkv or .mp4"
            )
        limits = {key: value for key, value in _LIVE_LIMITS.items() if key in self.muxer_options}
        encoder = ENCODERS[self.encoder].live
        muxer = {**self.muxer_options, **limits, **_LIVE}
        return replace(self, encoder_options=dict(encoder), muxer_options=muxer, live=True)

    def for_retries(self) -> "VideoContainer":
        """The same format for a file that is made again if its writer is killed: it needs no fragments."""
        kept = {key: value for key, value in self.muxer_options.items() if key not in _FRAGMENTS}
        return replace(self, muxer_options=kept)


MATROSKA = VideoContainer("matroska", muxer_options=_MATROSKA)

CONTAINERS = {
    ".mp4": VideoContainer("mp4", muxer_options=_MP4),
    ".m4v": VideoContainer("mp4", muxer_options=_MP4),
    ".mov": VideoContainer("mov", muxer_options=_MP4),
    ".mkv": MATROSKA,
    ".webm": VideoContainer("webm", "libvpx-vp9", dict(ENCODERS["libvpx-vp9"].options), _MATROSKA),
    ".avi": VideoContainer("avi", keeps_time=False),
}


def container_for(suffix: str) -> VideoContainer:
    """The video file format for ``suffix`` (``.mp4``, case-insensitive).

    Raises:
        UserError: if the suffix is not supported.
    """
    try:
        return CONTAINERS[suffix.lower()]
    except KeyError:
        raise UserError(f"{suffix}: unsupported video format; use {' '.join(CONTAINERS)}") from None
