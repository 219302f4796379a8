"""Where in a video file reading begins; its frames, sound and chapters count from there."""

import math
from dataclasses import replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from granet.errors import UserError
from runtime.sources.base import SoundPacket, StreamInfo
from runtime.sources.chapters import chapters_between
from runtime.sources.video.span import Span

_SOUND_AHEAD = Fraction(1, 2)
"""Seconds before the start from which the file is read: its sound may be stored ahead of its pictures."""


class StartBehindEndError(UserError):
    """A video ends before the start.

    Args:
        name: display name of the video.
        why: says when it ends.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


class Start:
    """A start, as FFmpeg's ``-ss`` before an input: later timestamps are relative to it.

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
        begin = Fraction(container.start_time or 0, av.time_base)
        self._at = begin + seconds
        if container.duration is not None and seconds >= Fraction(container.duration, av.time_base):
            raise self.behind_end(f"after {container.duration / av.time_base:.1f} s")
        base = stream.time_base or Fraction(1, 90_000)
        self.span = Span(
            math.ceil(self._at / base), seek=math.floor(max(begin, self._at - _SOUND_AHEAD) / base)
        )
        """The part of the video stream to decode."""

    def behind_end(self, end: str = "before") -> StartBehindEndError:
        """The error for a file that ends before; ``end`` says when."""
        return StartBehindEndError(self._name, f"the video ends {end}")

    def shifted(self, pts: int, time_base: Fraction) -> int:
        """A timestamp of the file relative to the start."""
        return pts - round(self._at / time_base)

    def takes(self, packet: SoundPacket) -> bool:
        """Whether a packet of sound begins at the start or later; makes its timestamps relative to it."""
        if packet.pts is None or packet.pts * packet.time_base < self._at:
            return False
        packet.pts = self.shifted(packet.pts, packet.time_base)
        if packet.dts is not None:
            packet.dts = self.shifted(packet.dts, packet.time_base)
        return True

    def described(self, info: StreamInfo) -> StreamInfo:
        """The information about what follows the start."""
        frames = None if info.frames is None else max(1, info.frames - int(self._seconds * (info.rate or 1)))
        return replace(info, frames=frames, chapters=chapters_between(info.chapters, self._at, None))
