"""Try how a container takes an audio stream, before and beside the real output."""

import io
from collections.abc import Sequence

import av
from av.audio.stream import AudioStream

from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.sound_spacing import SoundSpacing
from runtime.sinks.video.sound_ways import WAYS, SoundDecoder, SoundWay
from runtime.sources.base import SoundPacket
from runtime.sources.sound_packets import copied

_RENEWED_AFTER = 10_000
"""Packets after which :class:`SoundCheck` begins anew: a muxer keeps an index of all packets."""


def way_for(
    kind: VideoContainer, source: AudioStream, samples: Sequence[SoundPacket]
) -> type[SoundWay] | None:
    """The first way that writes the stream into such a container, and back again; ``None`` if none does.

    Args:
        kind: the container.
        source: audio stream of the source.
        samples: its first packets, as far as they are known; without them only the header is tried.
    """
    return next((way for way in WAYS if _works(way, kind, source, samples)), None)


def _works(
    way: type[SoundWay], kind: VideoContainer, source: AudioStream, samples: Sequence[SoundPacket]
) -> bool:
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=kind.format, container_options=kind.muxer_options) as container:
            track = way(container, source, samples)
            container.start_encoding()
            spacing = SoundSpacing()
            coded = [each for sample in copied(samples) for each in track.coded(sample)]
            for packet in (*coded, *track.rest()):
                spacing.apply(packet, track.stream.time_base)
                container.mux(packet)
        return not samples or _name_in(file) == (_name_of(source) if way.copies else _name_of(track.stream))
    except (ValueError, av.FFmpegError):
        return False


def _name_in(file: io.BytesIO) -> str:
    """The codec that a player sees in the file; empty if it sees none."""
    with av.open(io.BytesIO(file.getvalue())) as container:
        streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
        return _name_of(streams[0]) if streams else ""


def _name_of(stream: AudioStream) -> str:
    return stream.codec_context.codec.canonical_name


class SoundCheck:
    """Tells damaged packets from a broken output: decodes them, and muxes copies to nowhere.

    A muxer refuses some packets, and it may do so only with a later packet of another stream.

    Args:
        way: the way of the track.
        kind: the container of the output.
        source: audio stream of the source.
        samples: its first packets, as far as they are known.

    Attributes:
        is_certain: whether the first packets can be decoded, so that one that cannot is damaged.
        change: the first change of the rate or the channels, for display; empty if there is none.
    """

    def __init__(
        self,
        way: type[SoundWay],
        kind: VideoContainer,
        source: AudioStream,
        samples: Sequence[SoundPacket],
    ) -> None:
        self._way, self._kind, self._source, self._samples = way, kind, source, samples
        # Some variants of a codec play elsewhere although this decoder fails.
        self.is_certain = bool(samples) and _decode(SoundDecoder(source), samples) is not None
        self._decoder = SoundDecoder(source) if self.is_certain else None
        self.change = self._format = ""
        self._begin()

    def decodes(self, packet: SoundPacket) -> bool:
        """Whether a packet of the source can be decoded, if the first ones could."""
        if self._decoder is None:
            return True
        frames = _decode(self._decoder, [packet])
        for frame in frames or ():
            self._follow(frame)
        return frames is not None

    def _follow(self, frame: av.AudioFrame) -> None:
        now = f"{frame.sample_rate} Hz, {frame.layout.name}"
        self._format = self._format or now
        if now != self._format and not self.change:
            self.change = f"from {self._format} to {now}"

    def passes(self, packet: SoundPacket) -> bool:
        """Whether the muxer accepts a packet that the way has made; counts the packet."""
        if self._count >= _RENEWED_AFTER:
            self._begin()
        self._count += 1
        (copy,) = copied([packet])
        copy.stream = self._track.stream
        try:
            self._container.mux(copy)
        except av.FFmpegError:
            return False
        return True

    def _begin(self) -> None:
        self._count = 0
        self._container = av.open(
            _Nowhere(), "w", format=self._kind.format, container_options=self._kind.muxer_options
        )
        self._track = self._way(self._container, self._source, self._samples)


def _decode(decoder: SoundDecoder, packets: Sequence[SoundPacket]) -> list[av.AudioFrame] | None:
    """The frames of the packets; ``None`` if one is damaged."""
    try:
        return [frame for packet in packets for frame in decoder.decode(packet)]
    except av.FFmpegError:
        return None


class _Nowhere(io.RawIOBase):
    """A file that forgets what is written."""

    def __init__(self) -> None:
        self._at = self._end = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        size = len(memoryview(data))  # type: ignore[arg-type]
        self._at += size
        self._end = max(self._end, self._at)
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at
