"""One audio stream of an output: copied, or decoded to PCM if the container cannot hold its codec."""

import io
from typing import cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer

from runtime.sources.base import SoundPacket

_PCM = "pcm_s16le"
"""Lossless for G.711, which most cameras send but Matroska cannot hold."""


class SoundTrack:
    """Converts packets of a source's audio stream to packets for muxing.

    Args:
        container: output container to which nothing has been written yet.
        source: audio stream of the source.

    Raises:
        ValueError: if the container can hold neither the stream's codec nor PCM.
    """

    def __init__(self, container: OutputContainer, source: AudioStream) -> None:
        self._decoder: AudioCodecContext | None = None
        try:
            self._stream = container.add_stream_from_template(source)
        except ValueError:
            if container.format.name != "matroska":
                raise
            self._stream, self._decoder = _as_pcm(container, source)
        self._stream.metadata.update(source.metadata)

    def coded(self, packet: SoundPacket) -> list[SoundPacket]:
        """The packets to mux for ``packet``, which may be modified.

        Raises:
            av.FFmpegError: if the packet cannot be decoded.
        """
        if self._decoder is None:
            packet.stream = self._stream
            return [packet]
        return [coded for frame in self._decoder.decode(packet) for coded in self._stream.encode(frame)]


def can_hold(format_name: str, source: AudioStream) -> bool:
    """Whether a container of that format can hold the audio stream ``source``, possibly as PCM."""
    with av.open(io.BytesIO(), "w", format=format_name) as container:
        try:
            SoundTrack(container, source)
        except ValueError:
            return False
    return True


def _as_pcm(container: OutputContainer, source: AudioStream) -> tuple[AudioStream, AudioCodecContext]:
    coded = source.codec_context
    decoder = cast("AudioCodecContext", av.CodecContext.create(coded.name, "r"))
    decoder.sample_rate, decoder.layout, decoder.format = coded.sample_rate, coded.layout, coded.format
    decoder.extradata = coded.extradata
    stream = container.add_stream(_PCM, rate=coded.sample_rate, layout=coded.layout.name)
    return cast("AudioStream", stream), decoder
