"""Describe the video of an opened container: size, rate, colours and sound."""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import cast

import av
from av.buffer import Buffer
from av.container import InputContainer
from av.stream import Disposition
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.colour_tags import FULL, KR_KB, UNSPECIFIED, ColourTags, guessed_matrix
from runtime.media.upright import UPRIGHT, orientation_of_display_matrix
from runtime.sources.base import Chroma, StreamInfo
from runtime.sources.url import Address

_RGB_MATRIX = 0
_SIDEWAYS = (5, 6, 7, 8)
_TURNED = {90: 8, -90: 6, 180: 3, -180: 3}
"""Counterclockwise rotation to apply, in degrees -> EXIF orientation."""

_LIVE_FORMATS = {"mpjpeg", "rtsp", "sdp"}
_BROADCAST_FORMATS = {"mpegts", "flv"}
"""These can also be files, but then the server reports their size."""

_TECHNICAL = {"major_brand", "minor_version", "compatible_brands", "encoder"}


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The first video stream; cover pictures do not count.

    Raises:
        UserError: if there is no video stream, or no decoder for it.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise UserError(f"{name}: has no video stream")
    if streams[0].codec_context is None:
        raise UserError(f"{name}: this FFmpeg has no decoder for its video codec")
    return streams[0]


def orientation_of(frame: av.VideoFrame, say: Say) -> int:
    """EXIF orientation (1 to 8) equivalent to the display matrix of ``frame``; 1 without one."""
    try:
        # PyAV annotates the container as a dictionary with one key, but it holds every kind of side data.
        side_data = cast("Mapping[str, Buffer]", frame.side_data)
        matrix = bytes(side_data["DISPLAYMATRIX"])
    except ValueError:
        # PyAV 18 does not know every kind of side data, such as EXIF in a JPEG; only the angle is left.
        return _TURNED.get(round(frame.rotation), UPRIGHT)
    except KeyError:
        return UPRIGHT
    orientation = orientation_of_display_matrix(matrix)
    if orientation is None:
        say(f"a rotation by {frame.rotation} degrees is not supported; the video is written unrotated")
    return orientation or UPRIGHT


def is_live(container: InputContainer, address: Address) -> bool:
    """Whether an opened container delivers frames in real time, without a known end."""
    if address.live or not address.remote:
        return address.live
    name = container.format.name
    if name == "hls":
        # A complete playlist has a duration.
        return container.duration is None
    return name in _LIVE_FORMATS or (name in _BROADCAST_FORMATS and container.size <= 0)


def coding_of(frame: av.VideoFrame) -> tuple[int, int | None, int, int, str]:
    """The properties that its colour conversion depends on: range, matrix, height, width, pixel format."""
    tags = _colour_tags(frame, "the stream")
    return tags.effective_range, _matrix(tags, frame), frame.height, frame.width, frame.format.name


def describe(
    container: InputContainer,
    first: av.VideoFrame,
    stream: VideoStream,
    name: str,
    address: Address,
    *,
    live: bool,
    say: Say,
) -> StreamInfo:
    """Collects the information about a video.

    Args:
        container: an open container.
        first: the first decoded frame.
        stream: its video stream.
        name: display name.
        address: the opened address.
        live: whether the source drops frames that arrive too fast.
        say: called with a note about each property that the output will not keep.

    Raises:
        UserError: if the colours cannot be converted.
    """
    _announce_losses(first, say)
    sideways = orientation_of(first, say) in _SIDEWAYS
    size = (first.width, first.height) if sideways else (first.height, first.width)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    rate = stream.average_rate or stream.guessed_rate
    colour = _colour_tags(first, name)
    return StreamInfo(
        name=name,
        kind="video",
        live=live,
        frames=None if live else stream.frames or _estimate(container, rate),
        rate=rate,
        time_base=stream.time_base,
        size=size,
        aspect=1 / aspect if sideways else aspect,
        colour=colour,
        matrix=_matrix(colour, first),
        chroma=_chroma(first.format),
        sound=tuple(s for s in container.streams.audio if s.codec_context is not None),
        metadata={k: v for k, v in container.metadata.items() if k not in _TECHNICAL},
        left_behind=_left_behind(container, stream),
        paths=() if address.path is None else (address.path,),
    )


def _is_rgb(pixel_format: VideoFormat) -> bool:
    return pixel_format.is_rgb or pixel_format.has_palette


def _estimate(container: InputContainer, rate: Fraction | None) -> int | None:
    if container.duration is None or rate is None:
        return None
    return round(Fraction(container.duration, av.time_base) * rate) or None


def _colour_tags(frame: av.VideoFrame, name: str) -> ColourTags:
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    if _is_rgb(frame.format):
        return ColourTags(primaries=primaries, transfer=transfer)
    matrix = int(frame.colorspace)
    if matrix in (_RGB_MATRIX, 3):
        matrix = UNSPECIFIED
    if matrix != UNSPECIFIED and matrix not in KR_KB:
        raise UserError(
            f"{name}: has an unsupported colour matrix ({matrix} in H.273); convert it to BT.709 first"
        )
    # The yuvj formats are full range by definition, whatever the tag says.
    colour_range = FULL if frame.format.name.startswith("yuvj") else int(frame.color_range)
    return ColourTags(matrix, colour_range, primaries, transfer)


def _matrix(tags: ColourTags, frame: av.VideoFrame) -> int | None:
    if _is_rgb(frame.format):
        return None
    return guessed_matrix(frame.height, frame.width) if tags.matrix == UNSPECIFIED else tags.matrix


def _chroma(pixel_format: VideoFormat) -> Chroma:
    if _is_rgb(pixel_format) or len(pixel_format.components) < 3:
        return "yuv420p"
    wide, high = pixel_format.chroma_width(16) == 16, pixel_format.chroma_height(16) == 16
    return "yuv444p" if wide else "yuv422p" if high else "yuv420p"


def _announce_losses(frame: av.VideoFrame, say: Say) -> None:
    bits = max((component.bits for component in frame.format.components), default=8)
    if bits > 8:
        say(f"{bits}-bit video is processed and written as 8-bit")
    if any(component.is_alpha for component in frame.format.components):
        say("video transparency is dropped")
    if frame.interlaced_frame:
        say("interlaced video is not deinterlaced; whole frames are processed and written")


def _left_behind(container: InputContainer, stream: VideoStream) -> str:
    carried = {stream.index, *(s.index for s in container.streams.audio if s.codec_context is not None)}
    kinds = Counter(s.type for s in container.streams if s.index not in carried)
    return ", ".join(f"{n} {kind} stream{'s' if n > 1 else ''}" for kind, n in sorted(kinds.items()))
