"""What a source is: frames one after another, and what is known about them beforehand."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from typing_extensions import Self

from granet.errors import UserError
from runtime.media.colour_tags import ColourTags
from runtime.media.frame import Colour, Frame, Pixels
from runtime.telemetry.health import Health

SoundPacket: TypeAlias = "Packet[AudioStream]"
"""A piece of coded sound, as the file has it."""

Chroma = Literal["yuv420p", "yuv422p", "yuv444p"]
"""How finely a video samples its colours; an output is sampled as its input was."""


class WrongSettingsError(UserError):
    """What was asked of a source can never be right: trying again would not help."""


@dataclass(frozen=True)
class StreamInfo:
    """What is known about a source before its frames are read.

    Attributes:
        name: for people; never has credentials in it.
        kind: pictures have names and sizes of their own, video and camera have time.
        live: frames do not wait: the newest counts, what comes too fast is dropped.
        frames: how many; ``None`` if that is not known. An estimate if ``kind`` is ``video``.
        rate: frames a second, on average; ``None`` where there is no time.
        time_base: seconds per unit of :attr:`runtime.media.frame.Frame.pts`.
        size: (height, width) in pixels of the upright first frame; ``None`` for pictures.
        aspect: width of a pixel over its height.
        colour: colour tags of a video.
        matrix: YUV matrix to compute with: the stream's, or a guess; ``None`` if it is not YUV.
        chroma: sampling of a video's colours.
        sound: audio streams whose packets :meth:`Source.sound` gives.
        metadata: title and the like.
        left_behind: what of the input no output keeps, for people (``1 subtitle stream``).
        names: of pictures, in order, relative to the directory they came from.
        paths: files that are read, so that no output overwrites one.
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
        native: what the decoder gave, if it is upright and sampled as ``StreamInfo.chroma`` says;
            ``None`` otherwise. A comparison copies it instead of converting pixels back.
        duration: how long it is shown, in units of ``time_base``; 0 if the stream does not say.
    """

    native: av.VideoFrame | None = None
    duration: int = 0


@dataclass(frozen=True)
class Picture(Frame):
    """A picture from a file.

    Attributes:
        alpha: uint8 H x W, to be written back unchanged; ``None`` if the file has none.
        gray: the file has one channel; ``pixels`` has it three times.
    """

    alpha: Pixels | None = None
    gray: bool = False


class Source(ABC):
    """Frames in order. Constructing one opens it; wrong input is refused there if it can be seen there.

    One thread iterates over :meth:`frames`; another may call :meth:`sound`.
    """

    info: StreamInfo

    @cached_property
    def health(self) -> Health:
        """How the stream fares; who reads, computes and writes its frames reports there."""
        return Health(self.info.name, live=self.info.live)

    @abstractmethod
    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The frames, once.

        Args:
            colour: channel order that the pixels shall have.

        Yields:
            Frames with uint8 H x W x 3 pixels that are not used again by the source.

        Raises:
            UserError: if the input is damaged, cut short or cannot be reached any more; the line
                says after which frame.
        """

    def sound(self) -> list[SoundPacket]:
        """Audio packets read since the last call, in the order of the file."""
        return []

    def close(self) -> None:  # noqa: B027 - pictures hold nothing
        """Releases the input. May be called twice, and from any thread.

        An input that another thread is waiting for (a silent server) is left to the end of the process.
        """

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()
