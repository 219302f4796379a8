"""The contract of a source: frames in order, and information about the stream."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition, Stream

from granet.errors import UserError
from runtime.media.closing import Closing
from runtime.media.colour_tags import ColourTags
from runtime.media.frame import Colour, Frame, Pixels
from runtime.media.hdr_metadata import HdrMetadata
from runtime.media.picture_metadata import PictureMetadata
from runtime.telemetry.health import Health

if TYPE_CHECKING:
    from av.container.core import Chapter  # only in the stubs

_SHOWN = 5
"""Pictures that one message names."""

SoundPacket: TypeAlias = "Packet[AudioStream]"
"""A packet of encoded audio, as stored in the file."""

Chroma = Literal["yuv420p", "yuv422p", "yuv444p"]
"""Chroma subsampling of a video; an output keeps the subsampling of its input."""


class WrongSettingsError(UserError):
    """The requested settings of a source are invalid; retrying would not help."""


class AnswerError(UserError):
    """The server responds, but not with a picture."""


class RefusedError(AnswerError):
    """The server refuses these credentials; frequent attempts could lock the account."""


@dataclass(frozen=True)
class Track:
    """The properties of one stream of a video.

    Attributes:
        flags: flags such as ``default``, ``forced`` and ``comment``.
        labels: its ``language`` and its ``title``, each only if it is known.
    """

    flags: Disposition
    labels: Mapping[str, str]

    @staticmethod
    def of(stream: Stream) -> "Track":
        """Describes a stream of a source."""
        metadata = stream.metadata
        # MP4 calls the title of a track its name.
        labels = {
            "language": metadata.get("language", ""),
            "title": metadata.get("title") or metadata.get("name"),
        }
        return Track(stream.disposition, {key: text for key, text in labels.items() if text})


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
        video: flags, language and title of the video stream; ``None`` for other kinds.
        chapters: chapters of a video that is not live.
        hdr: static HDR metadata of a video.
        sound_samples: index of an audio stream -> copies of its first packets, as far as they were read; a
            sink tries with them whether a format can hold the sound.
        metadata: container metadata such as the title.
        left_behind: parts of the input that no output keeps, for display (``1 subtitle stream``).
        names: names of the pictures, in order, relative to their directory.
        paths: input files, which no output may overwrite.
        codec: FFmpeg's name of the codec of a video; empty for other kinds.
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
    video: Track | None = None
    chapters: tuple["Chapter", ...] = ()
    hdr: HdrMetadata = field(default_factory=HdrMetadata)
    sound_samples: Mapping[int, tuple[SoundPacket, ...]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    left_behind: str = ""
    names: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    codec: str = ""


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
        metadata: ICC profile, EXIF and colour tags of the file.
    """

    alpha: Pixels | None = None
    gray: bool = False
    metadata: PictureMetadata = field(default_factory=PictureMetadata)


class Source(Closing):
    """Frames in order. The constructor opens the input and rejects invalid input as early as possible.

    One thread iterates over :meth:`frames`; another may call :meth:`sound`.

    Attributes:
        info: what is known about the input.
        left_out: names of the pictures, so far, that cannot be processed.
    """

    info: StreamInfo
    left_out: Sequence[str] = ()

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
            UserError: if the input is no longer reachable, or is damaged and damage is refused; the message
                names the last good frame.
        """

    def leave_out(self, frame: Frame, error: UserError) -> None:
        """Leaves out a frame that the engine refuses, if it is one of several pictures.

        Raises:
            UserError: the ``error`` with the frame's name, if that frame may not be missing.
        """
        raise UserError(f"{frame.name}: {error}") from error

    def require_whole(self) -> None:
        """Checks, after the last frame, that no picture of several was left out.

        Raises:
            UserError: names those pictures.
        """
        if self.left_out:
            more = len(self.left_out) - _SHOWN
            names = ", ".join(self.left_out[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
            count = f"{len(self.left_out)} of {self.info.frames} pictures"
            raise UserError(f"{self.info.name}: {count} cannot be processed: {names}")

    def sound(self) -> list[SoundPacket]:
        """Audio packets read since the last call, in file order."""
        return []

    def close(self) -> None:
        """Releases the input. May be called twice and from any thread.

        If another thread is blocked on the input (a silent server), it stays open until the process ends.
        """
