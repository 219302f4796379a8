"""One audio stream of an output: copied, or decoded to PCM if the container cannot hold its codec."""

from collections.abc import Iterable, Sequence

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.sound_spacing import SoundSpacing
from runtime.sinks.video.sound_trial import SoundCheck, way_for
from runtime.sources.base import SoundPacket
from runtime.sources.sound_packets import without_new_headers


class SoundTrack:
    """Converts packets of a source's audio stream to packets for muxing; leaves out damaged ones.

    Args:
        container: output container to which nothing has been written yet.
        kind: its format and settings.
        source: audio stream of the source.
        samples: its first packets, as far as they are known.

    Attributes:
        stream: audio stream of the output.
        note: what the sound loses, or may lose, in this container; empty if nothing.
        left_out: number of damaged packets that were left out.

    Raises:
        ValueError: if the container can hold neither the stream's codec nor PCM.
    """

    def __init__(
        self,
        container: OutputContainer,
        kind: VideoContainer,
        source: AudioStream,
        samples: Sequence[SoundPacket],
    ) -> None:
        way = way_for(kind, source, samples)
        codec = source.codec_context.name
        if way is None:
            raise ValueError(f"{kind.format} cannot hold {codec}")
        self._way = way(container, source, samples)
        self.stream = self._way.stream
        self.stream.metadata.update(source.metadata)
        self._check = SoundCheck(way, kind, source, samples) if way.copies else None
        self._spacing = SoundSpacing()
        self.left_out = 0
        self.note = "" if way.lossless else f"the sound ({codec}) is written as PCM"
        if samples and self._check is not None and not self._check.is_certain:
            self.note = f"the sound ({codec}) cannot be decoded; it is copied as it is, and may not play"

    @property
    def change(self) -> str:
        """The first change of the rate or channels of copied sound, for display; empty if none."""
        return "" if self._check is None else self._check.change

    def coded(self, packet: SoundPacket) -> list[SoundPacket]:
        """The packets to mux for ``packet``, which may be modified; none if it is damaged."""
        try:
            if self._check is None or self._check.decodes(packet):
                return self._checked(self._way.coded(packet))
        except av.FFmpegError:
            pass
        self.left_out += 1
        return []

    def rest(self) -> list[SoundPacket]:
        """The packets to mux at the end."""
        try:
            return self._checked(self._way.rest())
        except av.FFmpegError:
            return []

    def _checked(self, packets: Iterable[SoundPacket]) -> list[SoundPacket]:
        passed = []
        for packet in without_new_headers(packets):
            self._spacing.apply(packet, self.stream.time_base)
            if self._check is None or self._check.passes(packet):
                passed.append(packet)
            else:
                self.left_out += 1
        return passed
