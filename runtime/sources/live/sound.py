"""The sound of a live source, on the time of its frames, whichever connection it came from."""

import io
from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import av
from av.audio.stream import AudioStream

from granet.app.console import Say
from runtime.sources.base import SoundPacket

MOST_WAITING = 2000
"""Packets that are kept for who records them: some 40 s of what cameras send."""

_FAR = 10
"""Seconds between a packet and the frame that it came with, from which its time is worth nothing."""


def lasting(streams: Sequence[AudioStream]) -> tuple[AudioStream, ...]:
    """Copies of what describes the streams, which can be used when their connection is closed.

    They are streams of a container that nothing is ever written to, numbered from 0.
    """
    if not streams:
        return ()
    holder = av.open(io.BytesIO(), "w", format="nut")
    copies = tuple(holder.add_stream_from_template(stream) for stream in streams)
    for copy, stream in zip(copies, streams, strict=True):
        copy.metadata.update(stream.metadata)
    return copies


def assigned(
    packets: list[SoundPacket], streams: Sequence[AudioStream], copies: Sequence[AudioStream]
) -> list[SoundPacket]:
    """The packets, as those of the copies that :func:`lasting` made of ``streams``."""
    by_index = {stream.index: copy for stream, copy in zip(streams, copies, strict=True)}
    for packet in packets:
        packet.stream = by_index[packet.stream_index]
    return packets


class LiveSound:
    """Gives sound the times of the frames it came with, and keeps it until it is taken.

    Args:
        streams: of the first connection; from :func:`lasting`.
        say: is told, once, if a later connection has other sound, which is left out.
    """

    def __init__(self, streams: tuple[AudioStream, ...], say: Say) -> None:
        self.streams = streams
        self._say = say
        self._told = False
        self._last: dict[int, int] = {}
        self._waiting: deque[SoundPacket] = deque(maxlen=MOST_WAITING)

    def add(
        self, packets: Sequence[SoundPacket], streams: Sequence[AudioStream], offset: Fraction, time: Fraction
    ) -> None:
        """Takes what came with a frame.

        Args:
            packets: with the times of their connection.
            streams: of that connection; from :func:`lasting`.
            offset: seconds from the connection's time to the frames'.
            time: of the frame, in seconds.
        """
        known = [_what(stream) for stream in self.streams]
        if [_what(stream) for stream in streams] != known:
            self._tell(streams)
            return
        for packet in packets:
            base = packet.time_base
            if packet.pts is None or not base:
                continue
            seconds = packet.pts * base + offset
            # Also of each stream only what goes forward: muxers take nothing else.
            stamp = round(seconds / base)
            index = packet.stream_index
            if seconds < 0 or abs(seconds - time) > _FAR or stamp <= self._last.get(index, -1):
                continue
            self._last[index] = stamp
            packet.stream = self.streams[index]
            packet.pts = packet.dts = stamp
            self._waiting.append(packet)

    def take(self) -> list[SoundPacket]:
        """What came since the last call."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def _tell(self, streams: Sequence[AudioStream]) -> None:
        if not self._told:
            self._told = True
            names = ", ".join(stream.codec_context.name for stream in streams) or "none"
            self._say(f"its sound is not what it was ({names}) and is left out")


def _what(stream: AudioStream) -> tuple[object, ...]:
    """What must be equal for packets to go on in a file."""
    context = stream.codec_context
    return context.name, context.sample_rate, context.layout.name, stream.time_base, context.extradata
