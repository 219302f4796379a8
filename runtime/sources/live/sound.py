"""The sound of a live source, retimed to its frames across reconnections."""

import io
from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import av
from av.audio.stream import AudioStream

from granet.app.console import Say
from runtime.sources.base import SoundPacket

MOST_WAITING = 2000
"""Maximum number of packets kept for recording: about 40 s of a typical camera's sound."""

_FAR = 10
"""Seconds between a packet and its frame beyond which the packet's timestamp is implausible."""


def lasting(streams: Sequence[AudioStream]) -> tuple[AudioStream, ...]:
    """Copies of the stream descriptions that stay valid after their connection is closed.

    They belong to a dummy container that is never written to, and are numbered from 0.
    """
    if not streams:
        return ()
    holder = av.open(io.BytesIO(), "w", format="nut")
    copies = tuple(holder.add_stream_from_template(stream) for stream in streams)
    for copy, stream in zip(copies, streams, strict=True):
        copy.metadata.update(stream.metadata)
    return copies


class LiveSound:
    """Retimes sound to the frames it arrived with, and buffers it until it is taken.

    Args:
        streams: streams of the first connection, from :func:`lasting`.
        say: called once if a later connection has a different sound format, which is dropped.
    """

    def __init__(self, streams: tuple[AudioStream, ...], say: Say) -> None:
        self.streams = streams
        self._say = say
        self._announced = False
        self._last: dict[int, int] = {}
        self._waiting: deque[SoundPacket] = deque(maxlen=MOST_WAITING)

    def add(
        self, packets: Sequence[SoundPacket], streams: Sequence[AudioStream], offset: Fraction, time: Fraction
    ) -> None:
        """Adds the packets that arrived with a frame.

        Args:
            packets: packets with the timestamps of their connection.
            streams: streams of that connection, from :func:`lasting`.
            offset: seconds to add to the connection's time to get the frames' time.
            time: time of the frame, in seconds.
        """
        known = [_format_of(stream) for stream in self.streams]
        if [_format_of(stream) for stream in streams] != known:
            self._announce_change(streams)
            return
        for packet in packets:
            base = packet.time_base
            if packet.pts is None or not base:
                continue
            seconds = packet.pts * base + offset
            # Muxers accept only increasing timestamps in each stream, and 0 is the time of the first frame.
            stamp = round(seconds / base)
            index = packet.stream_index
            if abs(seconds - time) > _FAR or stamp <= self._last.get(index, -1):
                continue
            self._last[index] = stamp
            packet.stream = self.streams[index]
            packet.pts = packet.dts = stamp
            self._waiting.append(packet)

    def take(self) -> list[SoundPacket]:
        """The packets added since the last call."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def _announce_change(self, streams: Sequence[AudioStream]) -> None:
        if not self._announced:
            self._announced = True
            names = ", ".join(stream.codec_context.name for stream in streams) or "none"
            self._say(f"the sound format has changed (now {names}); the new sound is dropped")


def _format_of(stream: AudioStream) -> tuple[object, ...]:
    """The properties that must match for packets to continue a track in a file."""
    context = stream.codec_context
    return context.name, context.sample_rate, context.layout.name, stream.time_base, context.extradata
