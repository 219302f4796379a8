"""The contract of a source: frames in order, and information about the stream."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import av
from av.audio.stream import AudioStream
from av.packet import Packet

from granet.errors import UserError
from runtime.media.closing import Closing
from runtime.media.colour_tags import ColourTags
from runtime.media.frame import Colour, Frame, Pixels
from runtime.telemetry.health import Health

SoundPacket: TypeAlias = "Packet[AudioStream]"
"""A packet of encoded audio, as stored in the file."""

Chroma = Literal["yuv420p", "yuv422p", "yuv444p"]
"""Chroma subsampling of a video; an output keeps the subsampling of its input."""


class WrongSettingsError(UserError):
    """The requested settings of a source are invalid; retrying would not help."""


@dataclass(frozen=True)
class StreamInfo:
    """Information about a source that is available before its frames are read.

    Attributes:
        name: display name, without credentials.
        kind: ``pictures`` have individual names and sizes, ``video`` and ``camera`` have timestamps.
        live: only the newest frame counts; frames that arrive too fast are dropped.
        frames: number of frames; ``None`` if unknown. An estimate if ``kind`` is ``video``.
        rate: average frames per second; ``None`` if the source has no timestamps.
        time_base: seconds per unit of :attr:`runtime.media.frame.Frame.pts`.
        size: (height, width) in pixels of the upright first frame; ``None`` for pictures.
        aspect: pixel aspect ratio, width over height.
        colour: colour tags of a video.
        matrix: YUV matrix for conversions, tagged or guessed; ``None`` if the video is not YUV.
        chroma: chroma subsampling of a video.
        sound: audio streams whose packets :meth:`Source.sound` returns.
        metadata: container metadata such as the title.
        left_behind: parts of the input that no output keeps, for display (``1 subtitle stream``).
        names: names of the pictures, in order, relative to their directory.
        paths: input files, which no output may overwrite.
    """

    name: str
    kind: Literal["pictures", "video", "camera"]
    live: bool = False
    frames: int | None = None
    rate: Fraction | None = None
    time_base: Fraction | None = None
    size: tuple[int, int] | None = None
    aspect: Fraction = Fraction(1)
    colour: ColourTags = field(default_factory=ColourTags)
    matrix: int | None = None
    chroma: Chroma = "yuv420p"
    sound: tuple[AudioStream, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    left_behind: str = ""
    names: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class DecodedFrame(Frame):
    """A frame of a video.

    Attributes:
        native: the decoder's frame, if it is upright and has the subsampling ``StreamInfo.chroma``;
            ``None`` otherwise. A comparison copies it instead of converting pixels back.
        duration: display time in units of ``time_base``; 0 if unknown.
    """

    native: av.VideoFrame | None = None
    duration: int = 0


@dataclass(frozen=True)
class Picture(Frame):
    """A picture from a file.

    Attributes:
        alpha: uint8 H x W, written back unchanged; ``None`` if the file has no alpha channel.
        gray: whether the file has one channel, which ``pixels`` repeats three times.
    """

    alpha: Pixels | None = None
    gray: bool = False


class Source(Closing):
    """Frames in order. The constructor opens the input and rejects invalid input as early as possible.

    One thread iterates over :meth:`frames`; another may call :meth:`sound`.
    """

    info: StreamInfo

    @cached_property
    def health(self) -> Health:
        """Health of the stream; all stages that read, process or write its frames report to it."""
        return Health(self.info.name, live=self.info.live)

    @abstractmethod
    def frames(self, colour: Colour) -> Iterator[Frame]:
        """Iterates over the frames; call it once.

        Args:
            colour: channel order of the pixels.

        Yields:
            Frames with uint8 H x W x 3 pixels; the source does not reuse the arrays.

        Raises:
            UserError: if the input is damaged, truncated or no longer reachable; the message names the
                last good frame.
        """

    def sound(self) -> list[SoundPacket]:
        """Audio packets read since the last call, in file order."""
        return []

    def close(self) -> None:
        """Releases the input. May be called twice and from any thread.

        If another thread is blocked on the input (a silent server), it stays open until the process ends.
        """
