"""Clips and pictures that the tests make for themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

MAKES_BT2020 = int(av.__version__.split(".")[0]) >= 18
"""PyAV 17 cannot convert to that matrix; reading it, which is what the runtime does, works in both."""

RATE = Fraction(30000, 1001)
BASE = Fraction(1, 30000)
UNEVEN = [3000, 4001, 5800, 6100, 8000, 9050, 9900, 12000, 12500, 13001, 15000, 16001]
"""Timestamps in 1/30000 s of a video with a variable rate that does not start at zero."""

BARS = np.array(
    [
        (235, 235, 235), (200, 200, 40), (40, 200, 200), (40, 200, 40), (200, 40, 200), (200, 40, 40),
        (40, 40, 200), (16, 16, 16), (128, 128, 128), (90, 160, 60),
    ],
    np.uint8,
)  # fmt: skip
"""RGB of colour bars."""


def steps(count: int) -> list[int]:
    """Timestamps of ``count`` frames at 29.97 a second, in 1/30000 s."""
    return [1001 * i for i in range(count)]


def numbered(index: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A BGR frame that says which one it is: brightness 16 + 16 x (index modulo 14), a bright corner.

    The corner is the top left quarter, so that turned frames differ from upright ones.
    """
    frame = np.full((height, width, 3), 16 + 16 * (index % 14), np.uint8)
    frame[: height // 4, : width // 4] = 250
    return frame


def number_of(pixels: NDArray[np.uint8]) -> int:
    """The index, modulo 14, of a :func:`numbered` frame, from its lower right quarter."""
    height, width = pixels.shape[:2]
    return round((float(pixels[height // 2 :, width // 2 :].mean()) - 16) / 16)


DIGITS, BASE_OF_DIGITS = 3, 14


def counted(number: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A BGR frame that says its number, up to 14³: a band for each digit, the last digit at the top."""
    digits = [number // BASE_OF_DIGITS**place % BASE_OF_DIGITS for place in range(DIGITS)]
    bands = np.array(digits, np.uint8)[np.arange(height) * DIGITS // height] * 16 + 16
    return np.broadcast_to(bands[:, None, None], (height, width, 3)).copy()


def count_of(pixels: NDArray[np.uint8]) -> int:
    """The number of a :func:`counted` frame, from the middles of its bands: scaling blurs their edges."""
    middles = [band[len(band) // 4 : -len(band) // 4] for band in np.array_split(pixels, DIGITS)]
    levels = [float(middle.mean()) for middle in middles]
    return sum(round((level - 16) / 16) * BASE_OF_DIGITS**place for place, level in enumerate(levels))


def colour_bars(height: int = 64, width: int = 320) -> NDArray[np.uint8]:
    """RGB bars from left to right."""
    return np.repeat(np.repeat(BARS[None], height, 0), width // len(BARS), 1)


@dataclass
class Clip:
    """The clip that :func:`make_clip` writes."""

    path: Path
    frames: Sequence[NDArray[np.uint8]] = ()
    pts: Sequence[int] = ()
    time_base: Fraction = BASE
    rate: Fraction = RATE
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "1", "preset": "ultrafast"})
    container_options: dict[str, str] = field(default_factory=dict)
    tags: tuple[int, int, int, int] = (2, 0, 2, 2)
    rotation: int = 0
    aspect: Fraction = Fraction(1)
    sound: str | None = None
    seconds: float | None = None
    """Of the sound; up to the last frame if it is not given."""
    language: str = ""
    title: str = ""
    order: str = "bgr24"
    last: int | None = None
    """Duration of the last frame, in units of the time base; that of the others if it is not given."""


def make_clip(path: Path, count: int = 12, size: tuple[int, int] = (48, 64), **settings: Any) -> Path:
    """Writes a clip of numbered frames, or of ``frames``; ``settings`` are those of :class:`Clip`."""
    clip = Clip(path, **settings)
    frames = clip.frames or [numbered(i, *size) for i in range(count)]
    pts = clip.pts or [round(i / clip.rate / clip.time_base) for i in range(len(frames))]
    with av.open(str(path), "w", container_options=clip.container_options) as container:
        video = container.add_stream(clip.codec, rate=clip.rate, options=clip.options)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = clip.pix_fmt
        context = video.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = clip.tags
        context.sample_aspect_ratio = clip.aspect
        video.time_base = context.time_base = clip.time_base
        if clip.rotation:
            video.set_display_rotation(clip.rotation)
        if clip.title:
            container.metadata["title"] = clip.title
        sound = container.add_stream(clip.sound, rate=48000) if clip.sound else None
        if sound is not None:
            sound.bit_rate = 128_000
        if sound is not None and clip.language:
            sound.metadata["language"] = clip.language
        for pixels, time in zip(frames, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), clip.order)
            matrix, colour_range = clip.tags[:2]
            frame = frame.reformat(
                format=clip.pix_fmt,
                dst_colorspace=5 if matrix == 2 else matrix,
                dst_color_range=colour_range or 1,
            )
            frame.pts, frame.time_base = time, clip.time_base
            _mux(container, video.encode(frame), clip, pts[-1])
        _mux(container, video.encode(None), clip, pts[-1])
        if sound is not None:
            end = float(pts[-1] * clip.time_base)
            _add_tone(container, sound, seconds=end if clip.seconds is None else clip.seconds)
    return path


def _mux(container: Any, packets: Iterable[Any], clip: Clip, last: int) -> None:
    for packet in packets:
        packet.duration = packet.duration or round(1 / clip.rate / clip.time_base)
        if packet.pts == last and clip.last is not None:
            packet.duration = clip.last
        container.mux(packet)


def _add_tone(container: Any, stream: Any, seconds: float) -> None:
    samples = (np.sin(np.arange(int(48000 * seconds)) / 20) * 8000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None], "s16", "stereo")
    frame.sample_rate, frame.pts = 48000, 0
    resampler = av.AudioResampler(stream.codec_context.format.name, "stereo", 48000)
    for converted in resampler.resample(frame):
        container.mux(stream.encode(converted))
    container.mux(stream.encode(None))


@dataclass
class Read:
    """A file as a player sees it."""

    times: list[Fraction]
    frames: list[NDArray[np.uint8]]
    rate: Fraction | None
    size: tuple[int, int]
    tags: tuple[int, int, int, int]
    aspect: Fraction | None
    rotation: int
    pix_fmt: str
    sound: list[bytes]
    sound_times: list[float]
    codec: str


def read_clip(path: Path) -> Read:
    """Decodes all of a file, with PyAV's own conversion to BGR."""
    times, frames, rotation = [], [], 0
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        for frame in container.decode(video):
            assert frame.pts is not None and video.time_base is not None
            times.append(frame.pts * video.time_base)
            frames.append(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
            rotation = frame.rotation
        read = Read(
            times, frames, video.average_rate, (context.height, context.width),
            (context.colorspace, context.color_range, context.color_primaries, context.color_trc),
            video.sample_aspect_ratio, rotation, str(context.pix_fmt), [], [], context.name,
        )  # fmt: skip
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0) if container.streams.audio else ():
            if packet.size:
                read.sound.append(bytes(packet))
                read.sound_times.append(float(packet.pts * packet.time_base))
    return read


def write_picture(path: Path, pixels: NDArray[Any]) -> Path:
    """Writes with OpenCV; BGR(A)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    good, data = cv2.imencode(path.suffix, pixels)
    assert good
    path.write_bytes(data.tobytes())
    return path


def with_exif_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Puts an EXIF block with nothing but an orientation into a JPEG."""
    ifd = b"\x00\x01" + b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0]) + bytes(4)
    block = b"Exif\0\0" + b"MM\x00\x2a\x00\x00\x00\x08" + ifd
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]
