"""Describe the video of an opened container: size, rate, colours and sound."""

from collections import Counter
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from granet.app.console import Say
from granet.app.credentials import mask
from granet.app.extras import missing_packages
from granet.data.upright import UPRIGHT
from granet.errors import UserError
from runtime.media.colour_tags import FULL, KR_KB, UNSPECIFIED, ColourTags, guessed_matrix
from runtime.media.display_matrix import orientation_of_display_matrix
from runtime.sources.base import Chroma, StreamInfo, Track
from runtime.sources.pictures.heif import HEIF_PACKAGE, can_read_heif
from runtime.sources.url import Address
from runtime.sources.video.side_data import hdr_metadata, say_what_is_not_kept, side_data_of

_RGB_MATRIX = 0
_SIDEWAYS = (5, 6, 7, 8)
_TURNED = {90: 8, -90: 6, 180: 3, -180: 3}
"""Counterclockwise rotation to apply, in degrees -> EXIF orientation."""

_LIVE_FORMATS = {"mpjpeg", "rtsp", "sdp"}
_BROADCAST_FORMATS = {"mpegts", "flv"}
"""These can also be files, but then the server reports their size."""

_SEQUENCES = {"avis", "msf1", "hevc", "hevx"}
"""Brands of AVIF and HEIC files with a sequence of pictures."""

TECHNICAL = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""Container metadata that describes the file and not its content."""

_USUAL_RATE = Fraction(25)
_FASTEST_RATE = 1000
"""Frames per second, of slow motion; what FFmpeg computes from repeated timestamps is far above."""

_LEAST_FRAME = 8
"""Bytes of the smallest frame: the header of a chunk."""


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The first video stream; cover pictures do not count.

    Raises:
        UserError: if there is no video stream, no decoder for it, or it is a tile of a picture.
    """
    streams = _video_streams(container)
    if any(stream.disposition & Disposition.dependent for stream in streams):
        if can_read_heif():
            raise UserError(f"{name}: is a HEIC picture in tiles; save it as a file whose name ends in .heic")
        raise missing_packages(f"{name}: is a HEIC picture in tiles; reading it", HEIF_PACKAGE)
    if not streams:
        raise UserError(f"{name}: has no video stream")
    if streams[0].codec_context is None:
        raise UserError(f"{name}: this FFmpeg has no decoder for its video codec")
    return streams[0]


def _video_streams(container: InputContainer) -> list[VideoStream]:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if container.metadata.get("major_brand") in _SEQUENCES:
        # Before the sequence comes a single picture for readers that know no sequences.
        return [stream for stream in streams if stream.frames != 1] or streams
    return streams


def orientation_of(frame: av.VideoFrame, say: Say) -> int:
    """EXIF orientation (1 to 8) equivalent to the display matrix of ``frame``; 1 without one."""
    matrix = side_data_of(frame).get("DISPLAYMATRIX")
    if matrix is None:
        # PyAV 18 does not know every kind of side data, such as EXIF in a JPEG; only the angle is left then.
        return _TURNED.get(round(frame.rotation), UPRIGHT)
    orientation = orientation_of_display_matrix(matrix)
    if orientation is None:
        say("only quarter turns are supported; the video is written unrotated")
    return orientation or UPRIGHT


def is_live(container: InputContainer, address: Address, size: int, *, asked: bool) -> bool:
    """Whether an opened container delivers frames in real time, without a known end.

    Args:
        container: the container.
        address: where it is.
        size: of a file, in bytes; not above 0 if the server does not say.
        asked: whether the user says that it is live: any format without a known size is then.
    """
    if address.live or not address.remote:
        return address.live
    name = container.format.name
    if name == "hls":
        # A complete playlist has a duration.
        return container.duration is None
    return name in _LIVE_FORMATS or (size <= 0 and (asked or name in _BROADCAST_FORMATS))


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
    _announce_losses(container, first, stream, say)
    sideways = orientation_of(first, say) in _SIDEWAYS
    size = (first.width, first.height) if sideways else (first.height, first.width)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    rate = _rate_of(stream)
    colour = _colour_tags(first, name)
    return StreamInfo(
        name=name,
        kind="video",
        live=live,
        frames=None if live else _frames_in(container, stream, rate),
        rate=rate,
        time_base=stream.time_base,
        size=size,
        aspect=1 / aspect if sideways else aspect,
        colour=colour,
        matrix=_matrix(colour, first),
        chroma=_chroma(first.format),
        sound=tuple(s for s in container.streams.audio if s.codec_context is not None),
        video=Track.of(stream),
        chapters=() if live else tuple(container.chapters()),
        hdr=hdr_metadata(first),
        # Some cameras repeat their address in the title.
        metadata={k: mask(v) for k, v in container.metadata.items() if k not in TECHNICAL},
        left_behind=_left_behind(container),
        paths=() if address.path is None else (address.path,),
        codec=stream.codec_context.codec.canonical_name,
    )


def _is_rgb(pixel_format: VideoFormat) -> bool:
    return pixel_format.is_rgb or pixel_format.has_palette


def _rate_of(stream: VideoStream) -> Fraction:
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((rate for rate in rates if rate and 0 < rate <= _FASTEST_RATE), _USUAL_RATE)


def _frames_in(container: InputContainer, stream: VideoStream, rate: Fraction) -> int | None:
    """Number of frames as stated or estimated; ``None`` if unknown or impossible."""
    stated = stream.frames
    if not stated and container.duration is not None:
        stated = round(Fraction(container.duration, av.time_base) * rate)
    return stated if stated > 0 and is_possible(stated, container) else None


def is_possible(frames: int, container: InputContainer) -> bool:
    """Whether the file is large enough for so many frames: a writer to a pipe states placeholders."""
    return container.size <= 0 or frames * _LEAST_FRAME <= container.size


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


def _announce_losses(container: InputContainer, frame: av.VideoFrame, stream: VideoStream, say: Say) -> None:
    bits = max((component.bits for component in frame.format.components), default=8)
    if bits > 8:
        say(f"{bits}-bit video is processed with 8 bits, as the network computes")
    # FFmpeg decodes VP8 and VP9 without their transparency, which is a stream of its own.
    has_alpha = any(component.is_alpha for component in frame.format.components)
    if has_alpha or stream.metadata.get("alpha_mode", "0") != "0":
        say("video transparency is dropped")
    if frame.interlaced_frame:
        say("interlaced video is not deinterlaced; whole frames are processed and written")
    say_what_is_not_kept(frame, say)
    others = len(_video_streams(container)) - 1
    if others:
        say(f"only the first of {others + 1} video streams is processed")


def _left_behind(container: InputContainer) -> str:
    carried = {s.index for s in container.streams.audio if s.codec_context is not None}
    kinds = Counter(s.type for s in container.streams if s.index not in carried and s.type != "video")
    if kinds["data"] and container.chapters() and container.format.name.startswith("mov"):
        kinds["data"] -= 1  # the titles of the chapters, which are copied
    lost = [f"{n} {kind} stream{'s' if n > 1 else ''}" for kind, n in sorted(kinds.items()) if n]
    covers = sum(bool(s.disposition & Disposition.attached_pic) for s in container.streams.video)
    return ", ".join([*lost, f"{covers} cover picture{'s' if covers > 1 else ''}"] if covers else lost)
