"""Where in a video file time begins: its frames, sound and chapters count from there."""

import math
from dataclasses import replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.format import Flags
from av.video.stream import VideoStream

from granet.errors import UserError
from runtime.sources.base import SoundPacket, StreamInfo
from runtime.sources.chapters import chapters_between
from runtime.sources.video.span import Span

_SOUND_AHEAD = Fraction(1, 2)
"""Seconds before the start from which the file is read: its sound may be stored ahead of its pictures."""


class StartBehindEndError(UserError):
    """A video ends before the start, or has no times.

    Args:
        name: display name of the video.
        why: says when it ends, or what to do.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


def clock_offset(container: InputContainer) -> Fraction:
    """Time at the beginning of a file, in seconds, if its format has a clock that begins anywhere; else 0.

    MPEG-TS has such a clock: broadcasts begin at any of its 26 hours, and FFmpeg lets one that passes their
    end begin below zero. What begins late in MP4 or Matroska is meant to be shown late.
    """
    return _beginning(container) if Flags(container.format.flags) & Flags.ts_discont else Fraction(0)


def _beginning(container: InputContainer) -> Fraction:
    return Fraction(container.start_time or 0, av.time_base)


class Start:
    """Where time begins: at a start, as FFmpeg's ``-ss`` before an input, or at the beginning of the file.

    Args:
        seconds: seconds after the beginning of the file.
        container: of the video, opened and not yet read.
        stream: its video stream.
        name: display name of the file.

    Raises:
        StartBehindEndError: if the file ends before.
    """

    def __init__(self, seconds: Fraction, container: InputContainer, stream: VideoStream, name: str) -> None:
        self._seconds, self._name = seconds, name
        self._at = clock_offset(container)
        # Raw H.264, as of a recorder, has none; FFmpeg counts those of other raw formats.
        self._untimed = bool(Flags(container.format.flags) & Flags.no_timestamps)
        self.span = Span()
        """The part of the video stream to decode."""
        if not seconds:
            return
        begin = _beginning(container)
        self._at = begin + seconds
        if container.duration is not None and seconds >= Fraction(container.duration, av.time_base):
            raise self.behind_end(f"after {container.duration / av.time_base:.1f} s")
        base = stream.time_base or Fraction(1, 90_000)
        self.span = Span(
            math.ceil(self._at / base), seek=math.floor(max(begin, self._at - _SOUND_AHEAD) / base)
        )

    def behind_end(self, end: str = "before") -> StartBehindEndError:
        """The error for a file that ends before; ``end`` says when."""
        return StartBehindEndError(self._name, f"the video ends {end}")

    def not_found(self) -> StartBehindEndError:
        """The error for a file that has no frame from the start on."""
        if not self._untimed:
            return self.behind_end()
        why = "its frames have no times: leave the option out, or read a copy in .mp4, which has them"
        return StartBehindEndError(self._name, why)

    def shifted(self, pts: int, time_base: Fraction) -> int:
        """A timestamp of the file relative to the start."""
        return pts - round(self._at / time_base)

    def takes(self, packet: SoundPacket) -> bool:
        """Whether a packet of sound is kept: what begins before ``seconds`` is left out.

        At the beginning of the file nothing is: a decoder needs the packets that precede it.
        """
        return not self._seconds or (packet.pts is not None and packet.pts * packet.time_base >= self._at)

    def shift(self, packet: SoundPacket) -> None:
        """Makes the timestamps of a packet of sound relative to the start."""
        if packet.pts is not None:
            packet.pts = self.shifted(packet.pts, packet.time_base)
        if packet.dts is not None:
            packet.dts = self.shifted(packet.dts, packet.time_base)

    def described(self, info: StreamInfo) -> StreamInfo:
        """The information about what follows the start."""
        frames = info.frames
        if frames is not None and self._seconds:
            frames = max(1, frames - int(self._seconds * (info.rate or 1)))
        return replace(info, frames=frames, chapters=chapters_between(info.chapters, self._at, None))
