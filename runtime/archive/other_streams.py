"""Subtitles, data, attachments and covers of a recording: copied where the result can hold them."""

from io import BytesIO
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from runtime.sources.base import Track

_COVERS = {"mp4", "mov"}
"""Formats in which FFmpeg writes a picture as a cover, and not as another video."""


class OtherStreams:
    """Copies of the streams that are neither the picture nor sound.

    Args:
        source: the recording.
        output: the result, without packets so far.

    Attributes:
        sources: the streams that are copied.
    """

    def __init__(self, source: InputContainer, output: OutputContainer) -> None:
        self._output = output
        self._copies: dict[int, Stream] = {}
        self._lost: list[str] = []
        self._times: dict[int, int] = {}
        """Index of a stream -> decoding timestamp of its last packet."""
        self._late = 0
        for stream in source.streams:
            if _is_other(stream):
                self._add(stream)
        self.sources = [source.streams[index] for index in self._copies]

    @property
    def notes(self) -> list[str]:
        """What the result does not keep."""
        late = f"{self._late} packets of other streams, whose time goes back, are left out"
        return [*self._lost, *([late] if self._late else [])]

    def redirect(self, packet: "Packet[Any]") -> bool:
        """Makes a packet of the recording one of the result.

        Returns:
            Whether the result can hold it; no format holds a packet that is before the last one.
        """
        index, dts = packet.stream.index, packet.dts or 0
        if dts < self._times.get(index, dts):
            self._late += 1
            return False
        self._times[index] = dts
        packet.stream = self._copies[index]
        return True

    def _add(self, stream: Stream) -> None:
        kind = self._output.format.name
        if is_cover(stream) and kind not in _COVERS:
            self._lost.append(f"not kept: the cover picture, which {kind} cannot hold")
        elif not _can_hold(kind, stream):
            self._lost.append(f"not kept: a {stream.type} stream, which {kind} cannot hold")
        else:
            copy = self._copies[stream.index] = self._output.add_stream_from_template(stream)
            track = Track.of(stream)
            copy.disposition = track.flags
            copy.metadata.update(track.labels)


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a picture of the whole recording, without a time."""
    return bool(stream.disposition & Disposition.attached_pic)


def _is_other(stream: Stream) -> bool:
    # FFmpeg discards the tracks of an MP4 file that hold the titles of its chapters, which it has read.
    is_of_chapters = stream.discard == Discard.all
    is_picture = isinstance(stream, av.VideoStream) and not is_cover(stream)
    return not (is_of_chapters or is_picture or isinstance(stream, av.AudioStream))


def _can_hold(kind: str, stream: Stream) -> bool:
    """Whether a format can hold a stream. For data, only the writing of a header says so."""
    try:
        with av.open(BytesIO(), "w", format=kind) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (ValueError, av.FFmpegError, NotImplementedError):
        return False
    return True
