"""``--codec``, ``--crf``, ``--preset``, ``--bitrate`` and ``--pix-fmt``: how a video is encoded."""

from typing import Annotated

import typer

from runtime.sinks.video.encoding import AUTO, Encoding

ENCODING_OPTIONS = ("--codec", "--crf", "--preset", "--bitrate", "--pix-fmt")

Codec = Annotated[
    str | None,
    typer.Option(
        metavar="CODEC",
        help="Encode a video as auto, h264, hevc, av1, vp9, copy-codec (that of the input), or on "
        "hardware: h264_nvenc, hevc_nvenc, h264_qsv, h264_vaapi, h264_v4l2m2m (default: auto, that of "
        "the input where it can be written; else, and for live video, h264, or vp9 in .webm).",
    ),
]
Crf = Annotated[int | None, typer.Option(min=0, metavar="N", help="Encode at this quality; lower is better.")]
Preset = Annotated[
    str | None, typer.Option(metavar="NAME", help="Use this preset of the encoder, like veryfast or slow.")
]
Bitrate = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="Encode at this rate in bits per second, like 4M, instead of --crf."),
]
PixFmt = Annotated[
    str | None,
    typer.Option(
        "--pix-fmt",
        metavar="NAME",
        help="Encode a video in this pixel format, like yuv420p, yuv444p or yuv420p10le (default: the "
        "subsampling of the input, with 8 bits).",
    ),
]


def encoding_of(
    codec: str | None, crf: int | None, preset: str | None, bitrate: str | None, pix_fmt: str | None
) -> Encoding:
    """The encoding that these options ask for.

    Raises:
        UsageError: if one is malformed, or two contradict each other.
    """
    return Encoding(codec or AUTO, crf, preset or "", bitrate or "", pix_fmt or "")
